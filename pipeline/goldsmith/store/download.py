"""Downloads into the cache: resumed where they were cut, verified, and whole or absent.

``FOLDER/SHA256`` is a file whose digest was right; ``.part`` beside it is what has come so far, ``.part.json`` which
version of the file on the server that belongs to (RFC 9110, 13.1.5 and 14: If-Range and Range), ``.lock`` is held
while writing.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from pydantic import BaseModel, ConfigDict, ValidationError

from goldsmith.errors import HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import FULL, file_digest, locked, require_space, room_hint, sync, write_text
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings
from goldsmith.store.http import Transient, get
from goldsmith.store.watch import Stamp, hand_out

#: seconds for one file, however large
DOWNLOAD_SECONDS = 6 * 3600.0
#: in a row, without a byte in between
_TRIES = 5
_CHUNK = 2**20
#: never filled: others write to this disk too
_MARGIN = 256 * 2**20


class _Begun(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str
    #: a strong ETag or a Last-Modified
    validator: str | None


@dataclass
class _Transfer:
    """One download; ``total`` is the whole file's size where the server says it."""

    url: str
    part: Path
    #: seconds before the second try
    pause: float
    total: int | None = None
    resumed: bool = False

    @property
    def note(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def shown(self) -> str:
        done = self.size()
        return f"{100 * done // self.total} %" if self.total else f"{done / 2**20:.0f} MiB"

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def downloaded(
    url: str, sha256: str, folder: Path, settings: Settings, progress: Progress, *, pause: float = 1.0
) -> Path:
    """The file of that digest, from ``folder`` or else from ``url``.

    A download that was cut, by the server or by a kill, goes on where it stood.  ``pause`` in seconds is doubled with
    each try.  Raises InputError where the server has no such file, or it has another digest (which is not kept);
    HostError where the server cannot be reached, is not who it says, or the disk is full; DeadlineError.
    """
    target = folder / sha256
    with locked(folder / f"{sha256}.lock"):
        if target.exists():
            if file_digest(target) == sha256:
                # When it was used last: see goldsmith.store.collection.
                os.utime(target)
                return _handed_out(target)
            progress.note(f"{target}: was damaged, and is fetched again")
            target.unlink()
        transfer = _Transfer(url, folder / f"{sha256}.part", pause)
        with progress.step(f"download {url}", transfer.shown):
            found = _fetched(transfer, settings, progress)
            if found != sha256 and transfer.resumed:
                # A server that changed the file and did not say so: only from its beginning it is one version.
                progress.note("the parts do not belong together; once more from the beginning")
                transfer.forget()
                found = _fetched(transfer, settings, progress)
        if found != sha256:
            transfer.forget()
            hint = "the file there is another than the recipe means: look what it is, and correct the sha256 or the URL"
            raise InputError(f"has the sha256 {found}, expected {sha256}", where=url, hint=hint)
        transfer.part.chmod(0o444)
        transfer.part.rename(target)
        transfer.note.unlink(missing_ok=True)
        sync(folder)
        return _handed_out(target)


def _handed_out(target: Path) -> Path:
    # Without its times: another who uses it touches it.  Whoever reads it compares its digest afterwards.
    hand_out("download", {target: Stamp.of(target).without_times})
    return target


def _fetched(transfer: _Transfer, settings: Settings, progress: Progress) -> str:
    """Fetch what is missing; the digest of the whole."""
    deadline = Deadline.after(DOWNLOAD_SECONDS)
    left, pause = _TRIES, transfer.pause
    while True:
        before = transfer.size()
        try:
            with _disk_errors(transfer):
                _attempt(transfer, settings, deadline)
                sync(transfer.part)
                return file_digest(transfer.part)
        except Transient as error:
            if transfer.size() > before:
                left, pause = _TRIES, transfer.pause
            left -= 1
            if not left:
                hint = "run it again: the download goes on where it stands"
                raise HostError(f"the download fails: {error}", where=transfer.url, hint=hint) from error
            progress.note(f"{error}; at {transfer.shown()}, {left} more tries")
            time.sleep(min(pause, deadline.remaining()))
            pause *= 2


def _attempt(transfer: _Transfer, settings: Settings, deadline: Deadline) -> None:
    """Append to the part what one answer of the server has."""
    have, begun = transfer.size(), _begun(transfer)
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if begun and begun.validator:
            headers["If-Range"] = begun.validator
    with get(transfer.url, settings, deadline, headers) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable and have:
            # It is complete, or of a larger version; its digest says which.
            whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
            transfer.resumed = True
            if whole == str(have):
                return
            transfer.forget()
            raise Transient("the server has a smaller file than what was fetched")
        start = have if _continues(answer, have) else 0
        transfer.resumed = transfer.resumed or bool(start)
        length = answer.headers.get("Content-Length", "")
        transfer.total = start + int(length) if length.isdecimal() else None
        if transfer.total:
            require_space(transfer.part.parent, int(length) + _MARGIN, f"downloading {transfer.url}")
        write_text(transfer.note, _Begun(url=transfer.url, validator=_validator(answer)).model_dump_json())
        _append(transfer, answer, start, deadline)


def _continues(answer: requests.Response, have: int) -> bool:
    """Whether an answer begins where the part ends; with status 200 the server begins anew."""
    if answer.status_code != requests.codes.partial_content:
        return False
    if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
        raise Transient("the server sent another range than it was asked for")
    return True


def _append(transfer: _Transfer, answer: requests.Response, start: int, deadline: Deadline) -> None:
    with transfer.part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        # Not decoded: the digest is that of the file, whatever encoding a server takes it for.
        for chunk in answer.raw.stream(_CHUNK, decode_content=False):
            stream.write(chunk)
            deadline.require(f"download {transfer.url}")
            if transfer.total is None:
                require_space(transfer.part.parent, _MARGIN, f"downloading {transfer.url}")


def _validator(answer: requests.Response) -> str | None:
    tag = answer.headers.get("ETag")
    # A weak one may not stand in If-Range.
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _begun(transfer: _Transfer) -> _Begun | None:
    try:
        begun = _Begun.model_validate_json(transfer.note.read_bytes())
    except (OSError, ValidationError):
        return None
    return begun if begun.url == transfer.url else None


@contextmanager
def _disk_errors(transfer: _Transfer) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise
        if error.errno in (*FULL, errno.EFBIG):
            # What fills a disk is of no use to anybody on it.
            transfer.forget()
        free = shutil.disk_usage(transfer.part.parent).free / 2**30
        text = f"cannot be written: {error.strerror} ({free:.1f} GiB are free)"
        raise HostError(text, where=str(transfer.part), hint=room_hint()) from error
