"""goldsmith plan."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

if TYPE_CHECKING:
    from goldsmith.bake.build import Standing
    from goldsmith.recipe.plan import Plan

NAME = "plan"
SUMMARY = "what would be built, verified and published, and why; changes nothing"
DESCRIPTION = """\
Check recipes completely, as every other command does first, and say what `goldsmith run` would do with each: whether
its image must be built, because of which input, and which of its layers (base tree, its initramfs and disk, elements)
the store has; whether it must be verified; whether it would be published; which properties it has and who says so (an
element, the disk, the recipe); with --cloud also what would change in each cloud: bytes, and properties to add (+),
change (~) and remove (-).

With --why all inputs that differ are named, those of the checks too: an element's file, a parameter, a package's
version, a tool's, a file of goldsmith itself."""


def configure(parser: argparse.ArgumentParser) -> None:
    arguments.recipes(parser)
    arguments.clouds(parser)
    arguments.signing(parser)
    parser.add_argument("--why", action="store_true", help="name every input that differs, of image and checks")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.bake.build import look
    from goldsmith.commands import work
    from goldsmith.commands.cloud_options import of_clouds

    signer, _ = of_clouds(args)
    documents, code = [], ExitCode.GOOD
    for plan in work.planned(args.recipes, context.settings, context.progress):
        standing = look(plan, context.settings, context.progress)
        document = _document(plan, standing, context)
        if args.cloud:
            from goldsmith.commands import clouds

            manifest = None if document["build"]["needed"] else work.built(plan, standing).manifest
            document["clouds"] = clouds.differences(plan, manifest, args.cloud, context, signer)
            code = max(code, clouds.worst(document["clouds"]))
        documents.append(document)
    return Outcome({"recipes": documents}, "\n\n".join(_text(document, why=args.why) for document in documents), code)


def _document(plan: Plan, standing: Standing, context: Context) -> dict[str, Any]:
    from goldsmith.bake.standing_layers import standing_layers
    from goldsmith.commands import proofs, work

    build = standing.artefact is None or bool(standing.reasons)
    published = False
    unproven = ["its image must be built first"]
    manifest = None
    layers = standing_layers(plan, standing.archive, context.settings) if build else ()
    if not build:
        manifest = work.built(plan, standing).manifest
        unproven = proofs.why_unproven(plan, manifest, context.settings)
        published = not unproven and work.published(plan, manifest, context.settings) is not None
    return {
        "name": plan.recipe.name,
        "digest": plan.digest,
        "checks_digest": plan.checks_digest,
        "elements": [planned.element.name for planned in plan.elements],
        "dib_elements": list(plan.dib_elements),
        "environment": dict(plan.environment),
        "properties": {
            name: {"value": each.value, "origin": each.origin}
            for name, each in proofs.described(plan, manifest).items()
        },
        "checks": [f"{check.element}/{check.id}" for check in plan.checks],
        "build": {
            "needed": build,
            "reasons": list(standing.reasons),
            "layers": [dataclasses.asdict(layer) for layer in layers],
        },
        "verify": {"needed": bool(unproven), "reasons": unproven},
        "publish": {"needed": not published, "target": str(context.settings.images_dir / f"{plan.recipe.name}.qcow2")},
    }


def _text(document: dict[str, Any], *, why: bool) -> str:
    build, verify, publish = document["build"], document["verify"], document["publish"]
    lines = [
        str(document["name"]),
        f"  elements  {', '.join(document['elements'])}",
        f"  checks    {len(document['checks'])}",
        f"  build     {'yes' if build['needed'] else 'no, the image is there and current'}",
        *_reasons(build["reasons"], why=why),
        *_layers(build["layers"]),
        f"  verify    {'yes' if verify['needed'] else 'no, these checks passed on this image'}",
        *_reasons(verify["reasons"], why=why),
        f"  publish   {'to' if publish['needed'] else 'no, it is in'} {publish['target']}",
    ]
    lines += [
        f"  {'property ' if not index else '':9} {name}={each['value']} ({each['origin']})"
        for index, (name, each) in enumerate(document["properties"].items())
    ]
    if "clouds" in document:
        from goldsmith.commands.clouds import differences_text

        lines += differences_text(document["clouds"])
    return "\n".join(lines)


def _reasons(reasons: list[str], *, why: bool) -> Iterator[str]:
    from goldsmith.recipe.differences import shortened

    for reason in reasons if why else shortened(reasons, "--why names them"):
        yield f"              {reason}"


def _layers(layers: list[dict[str, Any]]) -> Iterator[str]:
    for index, layer in enumerate(layers):
        over = f": {', '.join(layer['elements'])}" if layer["elements"] else ""
        yield f"  {'' if index else 'layers':<9} {layer['name']}{over}: {'kept' if layer['kept'] else 'made anew'}"
