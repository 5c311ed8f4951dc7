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

#: what the first has downloaded is there for the others
SUITES = (build.SUITE, verify.SUITE, offline.SUITE, upload.SUITE)


def main() -> int:
    report, args = suite.run(SUITES, __doc__)
    page.publish(report)
    print(json.dumps(results.as_document(report), indent=2) if args.json else results.as_text(report), end="")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
