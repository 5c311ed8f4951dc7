"""goldsmith gc."""

from __future__ import annotations

import argparse
import re
import time

from goldsmith.commands.context import Context, Outcome

NAME = "gc"
SUMMARY = "bring the cache down to a size: what was used least lately goes first"
DESCRIPTION = """\
Remove images and their bases, downloads (bases, packages) and proofs from the cache until it is no larger than --size:
what was used least lately goes first, and nothing that was used within --unused, which a run that goes on may be about
to open.  All of it can be made or fetched again, and a build whose base goes under it makes it again; published images
in images/ and the last report of each image are never touched.

    goldsmith gc --dry-run
    goldsmith gc --size 5GiB --unused 6h
    goldsmith gc --all"""

_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", metavar="SIZE", default="20GiB", help="what may stay (default: 20GiB)")
    parser.add_argument(
        "--unused", metavar="TIME", default="1d", help="how long unused, such as 30m, 6h or 7d (default: 1d)"
    )
    parser.add_argument("--all", action="store_true", help="remove all of it, however lately it was used")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.store import collection

    limit, seconds = (0, 0.0) if args.all else (_size(args.size), _seconds(args.unused))
    found = collection.items(context.settings)
    done = collection.collect(found, limit, time.time() - seconds, dry_run=args.dry_run)
    document = {
        "removed": [{"name": item.name, "size": item.size} for item in done.removed],
        "freed": done.freed,
        "kept": done.kept,
        "above_limit": done.too_young,
        "dry_run": args.dry_run,
    }
    verb = "would be removed" if args.dry_run else "removed"
    lines = [f"{item.name}: {verb}, {_shown(item.size)}" for item in done.removed]
    lines.append(f"{_shown(done.freed)} {'would be freed' if args.dry_run else 'freed'}, {_shown(done.kept)} kept")
    if done.too_young:
        lines.append(f"{_shown(done.too_young)} above the size: used within {args.unused}, or in use (--unused, --all)")
    return Outcome(document, "\n".join(lines))


def _size(text: str) -> int:
    from goldsmith.errors import InputError
    from goldsmith.recipe.model import WrongValueError, parse_size

    try:
        return parse_size(text)
    except WrongValueError as error:
        raise InputError(str(error), where="--size", hint=error.suggestion) from error


def _seconds(text: str) -> float:
    from goldsmith.errors import InputError

    match = re.fullmatch(r"([0-9]+)([mhd])", text)
    if not match:
        raise InputError(f"`{text}` is not a time", where="--unused", hint="write it as 30m, 6h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def _shown(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
