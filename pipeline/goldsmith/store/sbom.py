"""The bill of materials: SPDX 2.3 as JSON, from the list of installed packages."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from goldsmith import __version__


def spdx_document(
    name: str, packages: Iterable[tuple[str, str, str]], *, distribution: str, sha256: str, created: str
) -> dict[str, Any]:
    """SPDX 2.3 document of an image.

    ``packages`` are (name, version, architecture) as ``dpkg-query -W`` gives them; ``created`` is UTC as
    ``2025-01-31T12:00:00Z``.  The same arguments give the same document: the namespace is made from the image's sha256.
    Field names: https://spdx.github.io/spdx-spec/v2.3/; package URLs: the purl type ``deb``.
    """
    image_id = "SPDXRef-Image"
    listed = sorted(set(packages))
    described: dict[str, Any] = {
        "SPDXID": image_id,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
    }
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{name}:{sha256}')}",
        "creationInfo": {"created": created, "creators": [f"Tool: goldsmith-{__version__}"]},
        "packages": [described, *(_package(*package, distribution) for package in listed)],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", image_id),
            *(_relationship(image_id, "CONTAINS", _identifier(*package)) for package in listed),
        ],
    }


def _identifier(name: str, version: str, architecture: str) -> str:
    """An SPDX id holds letters, digits, dots and hyphens only; others become their code."""
    text = f"{name}-{version}-{architecture}"
    return "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: f"-{ord(match.group()):02x}-", text)


def _relationship(element: str, kind: str, related: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}


def _package(name: str, version: str, architecture: str, distribution: str) -> dict[str, Any]:
    purl = f"pkg:deb/{quote(distribution)}/{quote(name, safe='')}@{quote(version, safe=':')}?arch={quote(architecture)}"
    return {
        "SPDXID": _identifier(name, version, architecture),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
        ],
    }
