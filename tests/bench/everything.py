"""All benchmarks in one run, and docs/bench.json, .svg and .md of what came out: `make bench`."""

from __future__ import annotations

import json
import sys

import build
import offline
import page
import results
import suite
import upload
import verify


def main() -> int:
    # Where a package is downloaded for one, it is there for the next.
    report, args = suite.run([build.SUITE, verify.SUITE, offline.SUITE, upload.SUITE], __doc__)
    page.publish(report)
    print(json.dumps(results.as_document(report), indent=2) if args.json else results.as_text(report), end="")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
