"""Steps that publish, rollback, plan and run share where images go to clouds: several at once, each on its own."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from goldsmith.bake.build import Built
from goldsmith.commands import store, work
from goldsmith.commands.context import Context
from goldsmith.commands.proofs import described, proof
from goldsmith.errors import ExitCode, GoldsmithError, InputError
from goldsmith.host.progress import Progress
from goldsmith.publish.glance import names, publisher, state
from goldsmith.publish.glance.publisher import Done, Order
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.publish.glance.upload import Method
from goldsmith.publish.properties import THE_RECIPE, Property
from goldsmith.publish.signatures import NAMES as SIGNED
from goldsmith.publish.signatures import Signer
from goldsmith.recipe.plan import Plan
from goldsmith.store.manifest import Manifest

Document = dict[str, Any]

#: why properties would be removed
_NOBODYS, _OF_OTHER_BYTES = "neither recipe, element nor disk says so", "it signs other bytes"


def each(clouds: Sequence[str], act: Callable[[str], Document], stop: threading.Event | None = None) -> list[Document]:
    """What ``act`` says of each cloud, side by side, or the error that ended it there: the others go on.

    Where this is interrupted, ``stop`` is set, and what is under way is waited for.
    """

    def one(cloud: str) -> Document:
        try:
            return {"cloud": cloud, **act(cloud), "exit_code": 0}
        except GoldsmithError as error:
            facts = {"kind": type(error).__name__, "message": error.message, "where": error.where, "hint": error.hint}
            return {"cloud": cloud, "error": facts, "text": str(error), "exit_code": int(error.exit_code)}
        except Exception as error:
            # Also what nobody thought of is one cloud's: what was done in the others must still be told.
            text = f"internal error: {type(error).__name__}: {error}"
            facts = {"kind": type(error).__name__, "message": text, "where": f"cloud {cloud}", "hint": "report it"}
            return {"cloud": cloud, "error": facts, "text": text, "exit_code": int(ExitCode.HOST)}

    names_once = list(dict.fromkeys(clouds))
    with ThreadPoolExecutor(max_workers=min(len(names_once), 8)) as pool:
        try:
            return list(pool.map(one, names_once))
        except BaseException:
            if stop:
                stop.set()
            raise


def worst(documents: Sequence[Document]) -> ExitCode:
    return ExitCode(max((int(document["exit_code"]) for document in documents), default=0))


def signer(args: argparse.Namespace) -> Signer | None:
    """Whom --sign-key and --sign-certificate name.  Raises InputError for one without the other or without a cloud."""
    if args.sign_key is None and args.sign_certificate is None:
        return None
    if args.sign_key is None or args.sign_certificate is None:
        there = "--sign-key" if args.sign_key else "--sign-certificate"
        raise InputError("needs the other beside it: --sign-key FILE --sign-certificate UUID", where=there)
    if not args.cloud:
        raise InputError("needs --cloud: signatures are kept by Glance", where="--sign-key")
    return Signer(args.sign_key, args.sign_certificate)


def publish(
    plan: Plan,
    built: Built,
    clouds: Sequence[str],
    context: Context,
    *,
    method: Method = "put",
    signer: Signer | None = None,
    look: store.Look | None = None,
) -> list[Document]:
    """Put a plan's image into each cloud, and ``look`` at what its store holds then.

    Raises InputError where its properties contradict the disk.
    """
    manifest = work.proven(plan, built.manifest, proof(plan, built.manifest, context.settings))
    wishes = plan.recipe.publish
    order = Order(
        plan.recipe.published_name,
        built.image,
        manifest,
        manifest.properties,
        visibility=wishes.visibility,
        keep=wishes.keep,
        protected=wishes.protected,
        tags=wishes.tags,
        signer=signer,
        method=method,
    )
    return each(clouds, lambda cloud: published(connect(cloud), order, context.progress, look), order.stop)


def published(glance: Glance, order: Order, progress: Progress, look: store.Look | None) -> Document:
    """Publish to one cloud, then ``look``.  Raises as ``publisher.publish`` and ``store.verified``."""
    done = publisher.publish(glance, order, progress)
    if look is None:
        return _done(done)
    with progress.step(f"what Swift holds on {glance.cloud}"):
        found = store.verified(glance, done.image, order.image, order.manifest.sha512, look)
    return {**_done(done), "store": found}


def rollback(name: str, clouds: Sequence[str], context: Context) -> list[Document]:
    """The previous image of a name back in each cloud."""
    return each(clouds, lambda cloud: _done(publisher.rollback(connect(cloud), name, context.progress)))


def _done(done: Done) -> Document:
    facts = {"did": done.did, "image": done.image, "previous": done.previous}
    return {**facts, "removed": list(done.removed), "notes": list(done.notes)}


def differences(
    plan: Plan, manifest: Manifest | None, clouds: Sequence[str], context: Context, signer: Signer | None = None
) -> list[Document]:
    """What publishing would change in each cloud; ``manifest`` is the image's, None where it is to be built."""
    by = described(plan, manifest)
    wanted = {key: each.value for key, each in by.items()}
    if manifest:
        manifest = work.proven(plan, manifest, proof(plan, manifest, context.settings))
    name = plan.recipe.published_name

    def look(cloud: str) -> Document:
        current = state.look(connect(cloud), name).current
        upload = manifest is None or current is None or current.get("os_hash_value") != manifest.sha512
        all_wanted = names.publishable(wanted)
        if manifest:
            # What is there becomes the previous image of what is uploaded.
            previous = current.get("id" if upload else names.PREVIOUS) if current else None
            all_wanted |= names.provenance(name, manifest, previous)
        kept = state.kept_signature(current, manifest, signer) if manifest else {}
        all_wanted |= kept or (signer.planned() if signer else {})
        changes = state.compare(current, all_wanted)
        if current is None:
            why = f"no image is called {name!r}"
        elif manifest is None:
            why = "the image is to be built"
        else:
            why = "other bytes are there" if upload else "the same bytes are there"
        wishes = plan.recipe.publish
        attributes = {}
        if current:
            attributes = state.attributes(current, wishes.visibility, protected=wishes.protected, tags=wishes.tags)
        return {
            "image": current["id"] if current else None,
            "upload": {"needed": upload, "reason": why, "bytes": manifest.size if manifest and upload else None},
            "add": {key: {"value": value, "origin": _origin(key, by)} for key, value in changes.add.items()},
            "change": {
                key: {"old": old, "value": new, "origin": _origin(key, by)}
                for key, (old, new) in changes.change.items()
            }
            | {
                key: {"old": current[key], "value": value, "origin": THE_RECIPE}
                for key, value in attributes.items()
                if current
            },
            "remove": {
                key: {"old": old, "reason": _OF_OTHER_BYTES if key in SIGNED else _NOBODYS}
                for key, old in changes.remove.items()
            },
        }

    return each(clouds, look)


def _origin(key: str, by: Mapping[str, Property]) -> str:
    if key.startswith("goldsmith_"):
        return "where the image comes from"
    return by[key].origin if key in by else "the signature"


def as_text(documents: Sequence[Document]) -> list[str]:
    """Lines for a person, of what ``publish`` and ``rollback`` give."""
    lines = []
    for told in documents:
        if "error" in told:
            lines.append(f"  {told['cloud']}: FAILED, {told['text']}")
            continue
        did = {"nothing": "nothing to do", "reconciled": "properties were changed"}.get(told["did"], "switched")
        former = f" instead of {told['previous']}" if told["did"] == "published" and told["previous"] else ""
        lines.append(f"  {told['cloud']}: {did}, {told['image']} is visible{former}")
        if "store" in told:
            lines.append(f"    {store.as_text(told['store'])}")
        lines += [f"    removed {image}" for image in told["removed"]]
        lines += [f"    kept: {note}" for note in told["notes"]]
    return lines


def differences_text(documents: Sequence[Document]) -> list[str]:
    lines = []
    for told in documents:
        if "error" in told:
            lines.append(f"  {told['cloud']}: FAILED, {told['text']}")
            continue
        upload = told["upload"]
        lines.append(f"  {told['cloud']}: {'upload' if upload['needed'] else 'no upload'}, {upload['reason']}")
        lines += [f"    + {key}={facts['value']} ({facts['origin']})" for key, facts in told["add"].items()]
        lines += [
            f"    ~ {key}={facts['value']}, was {facts['old']} ({facts['origin']})"
            for key, facts in told["change"].items()
        ]
        lines += [f"    - {key}={facts['old']} ({facts['reason']})" for key, facts in told["remove"].items()]
    return lines
