"""The command line: options, output, exit codes.  What the commands do is in goldsmith.commands."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import difflib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from goldsmith import __version__
from goldsmith.commands import (
    audit,
    boot,
    build,
    cloud_config,
    diff,
    doctor,
    gc,
    inspect,
    plan,
    publish,
    rollback,
    run,
    schema,
    verify,
)
from goldsmith.commands.context import Context
from goldsmith.errors import CommandFailedError, ExitCode, GoldsmithError, InputError
from goldsmith.host.files import is_full, room_hint
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings, from_environment

COMMANDS: tuple[ModuleType, ...] = (
    *(doctor, plan, build, verify, publish, rollback, audit, run),
    *(boot, cloud_config, inspect, diff, gc, schema),
)
COMMAND_NAMES = tuple(str(command.NAME) for command in COMMANDS)

DESCRIPTION = """\
Golden images of OpenStack guests: built with diskimage-builder, booted, proven, published.

New here?  See what this host lacks, then make an image:

    goldsmith doctor
    goldsmith run recipes/debian-13.yaml"""

EPILOGUE = """\
exit status: 0 good; 1 a check of the image failed; 2 the input is wrong; 3 this host lacks something, or goldsmith
itself broke.  Progress goes to stderr, results to stdout.  'goldsmith COMMAND --help' says more.

environment: GOLDSMITH_IMAGES (where images go, default ./images), GOLDSMITH_CACHE (default ~/.cache/goldsmith),
GOLDSMITH_WORK (scratch space of builds; default: in memory where there is plenty, else inside the cache),
GOLDSMITH_MIRROR and GOLDSMITH_SECURITY_MIRROR (package mirrors instead of the host's own apt sources), ELEMENTS_PATH
(more elements, before goldsmith's own)."""

#: as a shell reports a program that a signal ended
_SIGNALLED = 128


class Terminated(BaseException):
    """SIGTERM or SIGHUP: unwinds the stack as Ctrl-C does, so that jails and temporary files go."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class _Parser(argparse.ArgumentParser):
    """A parser whose mistakes are InputErrors, like those of a recipe, and which suggests a command's name."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command" and value not in COMMAND_NAMES:
            close = difflib.get_close_matches(str(value), COMMAND_NAMES, n=1)
            guess = f", did you mean `{close[0]}`" if close else f"; there are {', '.join(COMMAND_NAMES)}"
            raise argparse.ArgumentError(None, f"unknown command `{value}`{guess}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        raise InputError(message, hint=f"see: {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    # The options are taken before and after the command; only what is given overrides.
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    options = common.add_argument_group("options of every command")
    options.add_argument("--json", action="store_true", help="one JSON document on stdout, progress on stderr")
    options.add_argument("-v", "--verbose", action="store_true", help="log every command that is run, show tracebacks")
    options.add_argument(
        "--elements-path",
        metavar="FOLDER",
        type=Path,
        action="append",
        help="look for elements here first; can be given several times",
    )
    style = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="goldsmith",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        parents=[common],
        formatter_class=style,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"goldsmith {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True, parser_class=_Parser
    )
    for command in COMMANDS:
        sub = commands.add_parser(
            command.NAME,
            help=command.SUMMARY,
            description=command.DESCRIPTION,
            parents=[common],
            formatter_class=style,
            allow_abbrev=False,
        )
        command.configure(sub)
        sub.set_defaults(execute=command.execute)
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    settings = from_environment()
    extra: list[Path] = getattr(args, "elements_path", [])
    for folder in extra:
        if not folder.is_dir():
            raise InputError("not a folder", where=f"--elements-path {folder}")
    given = tuple(folder.absolute() for folder in extra)
    return dataclasses.replace(settings, elements_path=(*given, *settings.elements_path))


def _print_document(document: Mapping[str, Any]) -> None:
    print(json.dumps(document, indent=2, default=str))


def error_document(error: BaseException, message: str, exit_code: int) -> dict[str, Any]:
    """What --json prints for an error; absent facts are null."""
    facts: dict[str, Any] = {"kind": type(error).__name__, "message": message, "where": None, "hint": None}
    if isinstance(error, GoldsmithError):
        facts |= {"message": error.message, "where": error.where, "hint": error.hint}
    if isinstance(error, InputError):
        facts["problems"] = [dataclasses.asdict(problem) for problem in error.problems]
    if isinstance(error, CommandFailedError):
        facts |= {"command": error.command, "status": error.status, "tail": error.tail.splitlines()}
    return {"error": facts, "exit_code": exit_code}


def _explain(error: BaseException) -> tuple[str, int]:
    """Message for a person, and exit code."""
    if isinstance(error, GoldsmithError):
        return str(error), error.exit_code
    if isinstance(error, Terminated):
        return f"ended by {error}; nothing half-made was left", _SIGNALLED + error.number
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing half-made was left", _SIGNALLED + signal.SIGINT
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("goldsmith"):
        return f"the Python module {error.name} is not installed\n  hint: run setup/prepare", ExitCode.HOST
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        hint = f"\n  hint: {room_hint(from_environment().cache_dir)}" if is_full(error) else ""
        return f"{text}{hint}", ExitCode.HOST
    name = type(error).__name__
    return (
        f"internal error: {name}: {error}\n  hint: run it again with -v for the traceback, and report it",
        ExitCode.HOST,
    )


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into Terminated, once: a second one ends the process at once."""

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    former = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _execute(argv: Sequence[str], as_json: bool) -> int:
    args = _parser().parse_args(argv)
    if getattr(args, "verbose", False):
        logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("goldsmith").setLevel(logging.DEBUG)
    settings = _settings(args)
    progress = Progress.for_stderr(plain=settings.plain_progress)
    outcome = args.execute(args, Context(settings, progress))
    if as_json:
        _print_document(outcome.document)
    else:
        print(outcome.text)
    return int(outcome.exit_code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see EPILOGUE)."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Known before the parser has its say: its errors are documents as well.
    as_json = "--json" in words
    try:
        try:
            with _signals():
                code = _execute(words, as_json)
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt, Terminated) as error:
            message, code = _explain(error)
            if "-v" in words or "--verbose" in words:
                traceback.print_exception(error)
            print(f"goldsmith: {message}", file=sys.stderr)
            if as_json:
                _print_document(error_document(error, message, code))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has gone: nobody is there to be told, and Python must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _SIGNALLED + signal.SIGPIPE
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
