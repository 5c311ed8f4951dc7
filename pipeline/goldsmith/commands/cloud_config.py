"""goldsmith cloud-config."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import InputError

if TYPE_CHECKING:
    from goldsmith.render.cloud_config import Rendered
    from goldsmith.render.userdata import Part

NAME = "cloud-config"
SUMMARY = "user-data that applies a recipe's elements to a stock image at first boot"
DESCRIPTION = """\
Render user-data for an instance of an image that nobody may rebuild: cloud-init runs it, and it does to the instance
what the recipe's elements do to an image.

    goldsmith cloud-config recipes/debian-13.yaml --output user-data
    openstack server create --user-data user-data ...

Nova takes one user-data: --with joins your own to it.  docs/cloud-config.md says what each element does at boot."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", type=Path, help="a recipe's file, such as recipes/debian-13.yaml")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write it there instead of to stdout")
    parser.add_argument(
        "--with",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        dest="parts",
        help="user-data of your own to join: a cloud-config, a script, ...; can be given several times",
    )
    parser.add_argument(
        "--vendor", action="store_true", help="render vendor-data: the file of nova's [api]vendordata_jsonfile_path"
    )
    parser.add_argument(
        "--packages", action="store_true", help="let it install packages from the instance's own package sources"
    )


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.host.files import write_text
    from goldsmith.recipe.loader import load
    from goldsmith.recipe.plan import make_plan
    from goldsmith.render.cloud_config import render

    parts = [_part(path) for path in args.parts]
    plan = make_plan(load(args.recipe, context.settings), context.settings)
    rendered = render(plan, parts=parts, vendor=args.vendor, install_packages=args.packages)
    for line in _remarks(rendered):
        context.progress.note(line)
    facts = _facts(rendered)
    if args.output is None:
        # print() ends it with a newline of its own
        return Outcome({**facts, "document": rendered.document}, rendered.document.removesuffix("\n"))
    write_text(args.output, rendered.document)
    return Outcome(
        {**facts, "output": str(args.output)}, f"{args.output}: {rendered.size} characters of base64 for Nova"
    )


def _part(path: Path) -> Part:
    from goldsmith.render.userdata import Part

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text at byte {error.start}", where=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return Part(path.name, text)


def _facts(rendered: Rendered) -> dict[str, Any]:
    return {
        "digest": rendered.digest,
        "applied": list(rendered.applied),
        "left_out": rendered.left_out,
        "packages": list(rendered.packages),
        "notes": list(rendered.notes),
        "reboots": rendered.reboots,
        "base64_size": rendered.size,
    }


def _remarks(rendered: Rendered) -> list[str]:
    lines = [f"applied at first boot: {', '.join(rendered.applied)}"]
    lines += [f"left out: {name}: {why}" for name, why in rendered.left_out.items()]
    lines += [f"note: {note}" for note in rendered.notes]
    if rendered.reboots:
        lines.append("note: the instance reboots once, before anything of the user's own runs")
    return lines
