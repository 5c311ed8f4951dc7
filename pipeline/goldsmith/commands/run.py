"""goldsmith run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import ExitCode

if TYPE_CHECKING:
    from goldsmith.recipe.plan import Plan

NAME = "run"
SUMMARY = "plan, build, verify and publish: the whole way"
DESCRIPTION = """\
Plan all recipes, then build, verify and publish each: to the catalogue, and
to the clouds of --cloud.  What is done already is not done again: a second run looks and
says so.  An image that fails a check is not published, and the other recipes go on."""


def configure(parser: argparse.ArgumentParser) -> None:
    arguments.recipes(parser)
    parser.add_argument(
        "--again",
        action="store_true",
        help="build and boot even where nothing changed; to boot alone: goldsmith verify RECIPE --again",
    )
    arguments.recovery(parser)
    arguments.clouds(parser)
    arguments.method(parser)
    arguments.signing(parser)
    arguments.store(parser)


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.commands import work
    from goldsmith.commands.cloud_options import of_clouds

    signer, look = of_clouds(args)
    documents, texts, codes = [], [], []
    plans = work.planned(args.recipes, context.settings, context.progress)
    if args.again or not all(work.is_published(plan, context.settings) for plan in plans):
        work.require_host(context)
    for plan in plans:
        document, text, code = _run(plan, context, again=args.again, recover_registry=args.recover_registry)
        if args.cloud and code == ExitCode.GOOD:
            from goldsmith.commands import clouds

            image = work.existing(plan, context)
            done = clouds.publish(plan, image, args.cloud, context, method=args.method, signer=signer, look=look)
            document["clouds"] = done
            text = "\n".join([text, *clouds.as_text(done)])
            code = clouds.worst(done)
        documents.append(document)
        texts.append(text)
        codes.append(code)
    return Outcome({"recipes": documents}, "\n".join(texts), max(codes))


def _run(plan: Plan, context: Context, *, again: bool, recover_registry: bool) -> tuple[dict[str, Any], str, ExitCode]:
    from goldsmith.commands import proofs, verification, work
    from goldsmith.commands.verify import exit_code
    from goldsmith.recipe.differences import because
    from goldsmith.verify.report import as_text

    name, target = plan.recipe.name, str(plan.recipe.source or plan.recipe.name)
    built = work.build(plan, context, again=again, recover_registry=recover_registry)
    sha256 = built.manifest.sha256
    document: dict[str, Any] = {
        "name": name,
        "sha256": sha256,
        "built": not built.cached,
        "reasons": list(built.reasons),
    }
    report = proofs.proof(plan, built.manifest, context.settings)
    fresh = again or report is None or report.status != "pass"
    if report is None or fresh:
        for line in because(name, "verified", proofs.why_unproven(plan, built.manifest, context.settings)):
            context.progress.note(line)
        # What failed is looked at again: it is on the way to be published.
        report = verification.verified(plan, built, target, context, again=True).report
    folder = verification.reports_folder(name, context.settings)
    document |= {"verified": fresh, "status": report.status, "report": report.model_dump(mode="json")}
    if report.status != "pass":
        document |= {"published": False, "image": str(built.image)}
        text = f"{as_text(report)}{name}: not published; report.html, consoles and screens: {folder}"
        return document, text, exit_code(report)
    there = work.published(plan, built.manifest, context.settings)
    entry = there or work.publish(plan, built, context)
    document |= {"published": there is None, "image": str(entry.image)}
    if built.cached and not fresh and there:
        return document, f"{name}: nothing to do, {entry.image} is current", ExitCode.GOOD
    text = (
        f"{as_text(report) if fresh else ''}{name}: {entry.image}\n"
        f"  sha256   {sha256}\n"
        f"  size     {built.manifest.size / 2**20:.0f} MiB ({built.manifest.virtual_size / 2**30:.0f} GiB virtual)\n"
        f"  checks   {len(report.verdicts)} passed\n"
        f"  beside   {name}.json (manifest), {name}.spdx.json (packages), {name}.properties.json (Glance)"
    )
    return document, text, ExitCode.GOOD
