from __future__ import annotations

import re

from goldsmith.store.sbom import spdx_document

PACKAGES = [
    ("libstdc++6", "14.2.0-19", "amd64"),
    ("bash", "5.2.37-2+b5", "amd64"),
    ("git", "1:2.47.3-0+deb13u1", "amd64"),
    ("bash", "5.2.37-2+b5", "amd64"),
]


def document(packages: list[tuple[str, str, str]] = PACKAGES, sha256: str = "c" * 64) -> dict[str, object]:
    return spdx_document("debian-13", packages, distribution="debian", sha256=sha256, created="2025-01-31T12:00:00Z")


def test_every_package_once_with_its_url() -> None:
    packages = document()["packages"]
    assert isinstance(packages, list)
    urls = [package["externalRefs"][0]["referenceLocator"] for package in packages[1:]]
    assert urls == [
        "pkg:deb/debian/bash@5.2.37-2%2Bb5?arch=amd64",
        "pkg:deb/debian/git@1:2.47.3-0%2Bdeb13u1?arch=amd64",
        "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64",
    ]
    assert [package["versionInfo"] for package in packages[1:]] == ["5.2.37-2+b5", "1:2.47.3-0+deb13u1", "14.2.0-19"]


def test_identifiers_are_unique_of_allowed_characters_and_all_related() -> None:
    found = document([*PACKAGES, ("bash", "5.2.37-2+b5", "i386"), ("libstdc--6", "14.2.0-19", "amd64")])
    packages, relationships = found["packages"], found["relationships"]
    assert isinstance(packages, list) and isinstance(relationships, list)
    identifiers = [package["SPDXID"] for package in packages]
    assert len(set(identifiers)) == len(identifiers) == 6
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", identifier) for identifier in identifiers)
    assert relationships[0] == {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": "SPDXRef-Image",
    }
    assert [relation["relatedSpdxElement"] for relation in relationships] == identifiers


def test_the_same_image_gives_the_same_document_and_another_one_another_namespace() -> None:
    assert document() == document(list(reversed(PACKAGES)))
    assert document()["documentNamespace"] != document(sha256="d" * 64)["documentNamespace"]
