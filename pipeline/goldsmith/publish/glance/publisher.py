"""One image into one cloud: out of sight, verified, then one switch; and the switch back.

Glance has no transaction over two images.  The old image is hidden and keeps its name for some seconds, and the new
one gets name, visibility and sight in one PATCH: openstacksdk, which looks at hidden images where no visible one has
the name, finds exactly one at every moment; a listing of visible images is empty between the two requests, and never
holds two.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from goldsmith.errors import GoldsmithError, HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.images.untrusted import image_format
from goldsmith.publish.catalogue import require_proof
from goldsmith.publish.glance import claim, names, state
from goldsmith.publish.glance.claim import Lease
from goldsmith.publish.glance.service import Glance, Image, RejectedError, change, properties_of
from goldsmith.publish.glance.upload import Method, require_going, upload, verify
from goldsmith.publish.signatures import Signer
from goldsmith.store.manifest import Manifest

#: seconds between hiding an image and renaming it: longer than a client takes from one listing to the next
SETTLE = 2.0

Did = Literal["published", "reconciled", "nothing"]


@dataclass(frozen=True)
class Order:
    """What is to be in the cloud; ``keep`` former images stay for a rollback, None for all of them."""

    name: str
    image: Path
    manifest: Manifest
    properties: Mapping[str, str]
    visibility: str = "private"
    keep: int | None = None
    #: None for what an image has already
    protected: bool | None = None
    tags: tuple[str, ...] | None = None
    signer: Signer | None = None
    #: an import copies the bytes in the cloud once more, and its plugins may convert them
    method: Method = "put"
    #: seconds that the cloud may take from the last byte to an active image
    patience: float = 1800
    lease: Lease = field(default_factory=Lease)
    settle: float = SETTLE
    #: set by whoever wants no more of it: what is not shown by then is taken back
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Done:
    """What came of it; ``removed`` and ``kept`` are ids of former images, ``notes`` why some were kept."""

    did: Did
    image: str
    previous: str | None = None
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def publish(glance: Glance, order: Order, progress: Progress) -> Done:
    """Make the cloud as ordered, doing only what is missing.

    Raises CheckFailedError or InputError where the image is not proven, not what its manifest says, or not taken by
    the cloud; HostError where the cloud fails, another publisher was first, or it is stopped.  What users see is then
    as it was.
    """
    require_proof(order.manifest)
    if (found := image_format(order.image)) != "qcow2":
        raise InputError(f"is {found}, and is to be published as qcow2", where=str(order.image), hint="build it again")
    standing = state.look(glance, order.name)
    if standing.current:
        _rename(glance, order.name, standing.former)
    if _is_current(standing.current, order):
        return _reconcile(glance, order, standing.current)
    with claim.claimed(glance, order.name, order.lease, progress) as own:
        remains = _remains(glance, order)
        staged = remains or _begin(glance, order, own)
        try:
            if not remains:
                _fill(glance, order, staged["id"], progress)
            claim.require_turn(glance, order.name, own, order.lease)
            require_going(order.stop, f"cloud {glance.cloud}")
            return _finish(glance, order, staged["id"], progress)
        except BaseException as error:
            _clean(glance, staged["id"], error)
            raise


def _remains(glance: Glance, order: Order) -> Image | None:
    """What dead publishers began is removed, but for an active image of these very bytes."""
    kept = None
    for image in state.begun(glance, order.name):
        if kept is None and _is_current(image, order) and _is_signed(image, order):
            kept = image
        else:
            glance.delete(image["id"])
    return kept


def _is_current(image: Image | None, order: Order) -> bool:
    return state.holds(image, order.manifest)


def _is_signed(image: Image, order: Order) -> bool:
    """As ordered; Glance verifies a signature that is there when the bytes come, and no other."""
    return order.signer is None or order.signer.has_signed(image, order.manifest.sha256)


def _wanted(order: Order, previous: str | None, there: Image) -> dict[str, str]:
    given = names.publishable(order.properties) | names.provenance(order.name, order.manifest, previous)
    return given | (state.kept_signature(there, order.manifest, order.signer) or _made_signature(order))


def _attributes(order: Order, image: Image) -> dict[str, Any]:
    return state.attributes(image, order.visibility, protected=order.protected, tags=order.tags)


def _made_signature(order: Order) -> dict[str, str]:
    return order.signer.sign(order.image) if order.signer else {}


def _reconcile(glance: Glance, order: Order, current: Image | None) -> Done:
    assert current is not None
    wanted = _wanted(order, current.get(names.PREVIOUS), current)
    todo = state.operations(current, wanted, **_attributes(order, current))
    if todo:
        glance.patch(current["id"], todo)
    removed, notes = retire(glance, order.name, order.keep)
    return Done("reconciled" if todo else "nothing", current["id"], current.get(names.PREVIOUS), removed, notes)


def _begin(glance: Glance, order: Order, own: str) -> Image:
    return glance.create(
        {
            "name": names.staged(order.name, order.manifest.sha512),
            "disk_format": "qcow2",
            "container_format": "bare",
            "visibility": "private",
            "os_hidden": True,
            names.NAME: order.name,
            names.STAGED: own,
            # Glance verifies it against the bytes as they come, and refuses those that it does not fit.
            **_made_signature(order),
        }
    )


def _fill(glance: Glance, order: Order, staged_id: str, progress: Progress) -> None:
    deadline = Deadline.after(order.patience)
    image, sent = upload(glance, staged_id, order.image, order.method, deadline, progress, order.stop)
    verify(image, sent, order.manifest.sha512, f"cloud {glance.cloud}: image {staged_id}")


def _finish(glance: Glance, order: Order, staged_id: str, progress: Progress) -> Done:
    standing = state.look(glance, order.name)
    if _is_current(standing.current, order):
        # Another publisher of the same image was done while this one began.
        glance.delete(staged_id)
        return _reconcile(glance, order, standing.current)
    image = glance.image(staged_id)
    if image is None:
        raise HostError(f"image {staged_id} is gone", where=f"cloud {glance.cloud}", hint="run it again")
    # A publisher that died in the middle of the switch has hidden the old one and shown nothing.
    former = standing.current or next((each for each in standing.former if each["name"] == order.name), None)
    wanted = _wanted(order, former["id"] if former else None, image)
    with progress.step(f"switch {order.name} on {glance.cloud}"):
        _switch(glance, order.name, former, image, wanted, _attributes(order, image), order.settle)
    removed, notes = retire(glance, order.name, order.keep)
    return Done("published", staged_id, former["id"] if former else None, removed, notes)


def _switch(
    glance: Glance,
    name: str,
    former: Image | None,
    new: Image,
    wanted: Mapping[str, str],
    attributes: Mapping[str, Any],
    settle: float,
) -> None:
    """Let users find ``new`` instead of ``former``, with these ``attributes``; as it was if that fails."""
    # All that can be refused is done out of sight: what is left is name and sight.
    mark = {names.STAGED: new[names.STAGED]} if names.STAGED in new else {}
    new = glance.patch(new["id"], state.operations(new, {**wanted, **mark}))
    if former:
        glance.patch(former["id"], change(former, {"os_hidden": True, names.NAME: name}))
    try:
        glance.patch(new["id"], state.operations(new, wanted, **attributes, name=name, os_hidden=False))
    except BaseException as error:
        if former:
            _back(glance, former, new["id"], error)
        raise
    if former:
        time.sleep(settle)
        # Users find the new image: a failure would ask for another run, and that of a rollback would switch back.
        # A hidden one that keeps the name harms nobody, and the next publication renames it.
        with contextlib.suppress(GoldsmithError):
            _rename(glance, name, (former,))


def _rename(glance: Glance, name: str, former: Iterable[Image]) -> None:
    for image in former:
        if image["name"] == name:
            glance.patch(image["id"], change(image, {"name": names.replaced(name, image["id"])}))


def _back(glance: Glance, former: Image, new: str, error: BaseException) -> None:
    """The answer may have been lost, and the switch done: look before the old image is shown again."""

    def restored() -> bool:
        with contextlib.suppress(RejectedError, HostError):
            now = glance.image(new)
            if now is None or now["os_hidden"]:
                glance.patch(former["id"], [{"op": "replace", "path": "/os_hidden", "value": False}])
            return True
        return False

    try:
        Deadline.after(30).wait_for(restored, "the former image is shown again", interval=1)
    except HostError:
        raise HostError(
            f"the switch broke: image {former['id']} is hidden, found by id and by openstacksdk alone",
            where=f"cloud {glance.cloud}",
            hint=f"openstack image set --unhidden {former['id']}, or run it again",
        ) from error


def _clean(glance: Glance, staged_id: str, error: BaseException) -> None:
    """Remove what was begun, or say in the error that it is left."""

    def removed() -> bool:
        with contextlib.suppress(HostError):
            image = glance.image(staged_id)
            if image is not None and names.STAGED in image:
                glance.delete(staged_id)
            return True
        return False

    try:
        Deadline.after(10).wait_for(removed, "it is removed", interval=0.5)
    except (GoldsmithError, OSError):
        if isinstance(error, GoldsmithError):
            left = f"image {staged_id} is left on cloud {glance.cloud}; the next run removes it"
            error.hint = f"{error.hint}; {left}" if error.hint else left


def rollback(glance: Glance, name: str, progress: Progress, *, settle: float = SETTLE) -> Done:
    """The previous image back, in one switch.  Raises InputError where there is none."""
    standing = state.look(glance, name)
    where = f"cloud {glance.cloud}"
    if not standing.former:
        raise InputError(f"{name!r} has no former image to go back to", where=where, hint="see publish.keep")
    new, current = standing.former[0], standing.current
    wanted = properties_of(new) | {names.NAME: name}
    if current:
        wanted[names.PREVIOUS] = current["id"]
    with progress.step(f"switch {name} on {glance.cloud}"):
        visibility = str(current["visibility"] if current else new["visibility"])
        _switch(glance, name, current, new, wanted, {"visibility": visibility}, settle)
    return Done("published", new["id"], current["id"] if current else None)


def retire(glance: Glance, name: str, keep: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remove former images beyond ``keep``; ids of the removed, and why others stay.

    Protected ones stay, and those that servers were made from; where Nova cannot be asked, all that might be.
    """
    if keep is None:
        return (), ()
    removed, notes = [], []
    for image in state.look(glance, name).former[keep:]:
        if image["protected"]:
            notes.append(f"{image['id']} is protected")
        elif (used := glance.in_use(image)) is not False:
            notes.append(f"{image['id']} is in use" if used else f"{image['id']}: no Nova says that it is not in use")
        else:
            try:
                glance.delete(image["id"])
                removed.append(image["id"])
            except (RejectedError, InputError) as error:
                notes.append(f"{image['id']}: {error.message}")
    return tuple(removed), tuple(notes)
