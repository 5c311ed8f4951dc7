"""The document that Nova is given: a boothook, alone, joined with the user's own parts, or as vendor-data.

Shapes: cloud-init's user-data formats (doc/rtd/explanation/format.rst) and cloudinit/sources/__init__.py,
convert_vendordata.  The limit is Nova's: nova/api/openstack/compute/schemas/servers.py, user_data, maxLength 65535.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from goldsmith.errors import InputError
from goldsmith.recipe.model import Base
from goldsmith.recipe.payload import Payload, install_packages

#: characters of base64 that Nova takes
NOVA_LIMIT = 65535
#: what is left of that for the document itself
BYTES = NOVA_LIMIT // 4 * 3

BOOTHOOK = "#cloud-boothook\n"
FILENAME = "goldsmith-boothook"
#: so that bootcmd, runcmd and the like of several parts add up; cloud-init's own default lets one replace the other
_MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
_MARK = "__PAYLOAD__"

#: first line of a part -> its type (cloudinit/handlers/__init__.py, INCLUSION_TYPES_MAP)
_TYPES = {
    "#include-once": "text/x-include-once-url",
    "#include": "text/x-include-url",
    "#!": "text/x-shellscript",
    "#cloud-config-archive": "text/cloud-config-archive",
    "#cloud-config": "text/cloud-config",
    "#part-handler": "text/part-handler",
    "#cloud-boothook": "text/cloud-boothook",
    "## template: jinja": "text/jinja2",
}


@dataclass(frozen=True)
class Part:
    """Something of the user's own; ``name`` is its file's."""

    name: str
    text: str


def runner() -> str:
    """The shell script in front of the payload, as it stands in the repository."""
    text = resources.files("goldsmith.render").joinpath("runner.sh").read_text(encoding="utf-8")
    return text.replace("# @PACKAGES@\n", install_packages().removeprefix("#!/bin/sh\n"))


def boothook(payload: Payload, base: Base) -> str:
    """The script with what it carries."""
    values = {"DIGEST": payload.digest, "DISTRIBUTION": base.distribution, "RELEASE": base.release}
    text = re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], runner())
    return f"{text}{_MARK}\n{base64.encodebytes(payload.archive).decode()}"


def type_of(part: Part) -> str:
    """The MIME type by which cloud-init takes a part.  Raises InputError where its first line does not tell."""
    if "mime-version:" in part.text[:4096].lower():
        raise InputError(
            "is a MIME archive already", where=part.name, hint="give the files that it was made of, one by one"
        )
    for prefix, kind in _TYPES.items():
        if part.text.startswith(prefix):
            return kind
    raise InputError(
        "its first line does not say what it is", where=part.name, hint="begin it with #cloud-config or #!/bin/sh"
    )


def joined(hook: str, parts: Sequence[Part]) -> str:
    """A MIME archive: the boothook first, then the user's parts in their order, unchanged."""
    names = [FILENAME, *(part.name for part in parts)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError("another part has this name", where=twice[0], hint="rename one of the files")
    texts = [(FILENAME, "text/cloud-boothook", hook, "")]
    for part in parts:
        kind = type_of(part)
        header = ""
        if kind == "text/cloud-config" and not re.search(r"^merge_(how|type):", part.text, re.MULTILINE):
            header = f"Merge-Type: {_MERGE}\n"
        texts.append((part.name, kind, part.text, header))
    boundary = f"goldsmith-{hashlib.sha256(repr(texts).encode()).hexdigest()[:32]}"
    lines = [f'Content-Type: multipart/mixed; boundary="{boundary}"\nMIME-Version: 1.0\n']
    for name, kind, text, header in texts:
        # cloud-init reads a part of 8 bits as Latin-1 (cloudinit/util.py, fully_decoded_payload).
        encoding, body = ("7bit", text) if text.isascii() else ("base64", base64.encodebytes(text.encode()).decode())
        lines.append(
            f"--{boundary}\n"
            f'Content-Type: {kind}; charset="utf-8"\n'
            f"Content-Transfer-Encoding: {encoding}\n"
            f'Content-Disposition: attachment; filename="{name}"\n'
            f"{header}\n{body}"
        )
    return "\n".join([*lines, f"--{boundary}--\n"])


def vendor_data(document: str) -> str:
    """What nova's [api]vendordata_jsonfile_path names: a JSON object whose key cloud-init is for cloud-init."""
    return json.dumps({"cloud-init": document}, indent=1) + "\n"


def encoded_size(document: str) -> int:
    """Characters of base64 that Nova sees."""
    return math.ceil(len(document.encode()) / 3) * 4


def require_fits(document: str, shares: Sequence[tuple[str, int]]) -> None:
    """Raise InputError above Nova's limit, with what takes the room: ``shares`` are (what, bytes)."""
    size = encoded_size(document)
    if size > NOVA_LIMIT:
        largest = sorted(shares, key=lambda share: -share[1])[:5]
        raise InputError(
            f"the user-data has {size} characters in base64, and Nova takes {NOVA_LIMIT} ({BYTES} bytes of it); "
            "most of it: " + ", ".join(f"{what} ({count} bytes)" for what, count in largest),
            hint="leave elements out, or serve the file over HTTP and give Nova two lines: #include, and its URL",
        )
