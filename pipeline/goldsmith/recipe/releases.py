"""The bases that goldsmith bootstraps: which DIB element makes each distribution, and its releases."""

from __future__ import annotations

from dataclasses import dataclass

from goldsmith.recipe.problems import did_you_mean


@dataclass(frozen=True)
class Distribution:
    """``element`` is DIB's operating system element; ``releases`` maps a code name to its version."""

    element: str
    releases: dict[str, str]
    architectures: tuple[str, ...] = ("amd64",)


DISTRIBUTIONS = {
    "debian": Distribution("debian-minimal", {"bullseye": "11", "bookworm": "12", "trixie": "13"}),
    # From a container image (podman or docker on the build host): DIB has no package-only element for Rocky.
    "rocky": Distribution("rocky-container", {"9": "9"}),
    "ubuntu": Distribution("ubuntu-minimal", {"noble": "24.04"}),
}


def judge(distribution: str, release: str, architecture: str) -> list[tuple[str, str, str | None]]:
    """What is wrong with a base, as (field, message, suggestion); empty if goldsmith can build it."""
    known = DISTRIBUTIONS.get(distribution)
    if known is None:
        hint = did_you_mean(distribution, DISTRIBUTIONS)
        return [("distribution", f"unknown distribution `{distribution}`", hint)]
    found: list[tuple[str, str, str | None]] = []
    if release not in known.releases:
        names = {version: name for name, version in known.releases.items()}
        hint = f"did you mean `{names[release]}`" if release in names else did_you_mean(release, known.releases)
        found.append(("release", f"{distribution} has no release `{release}` that goldsmith knows", hint))
    if architecture not in known.architectures:
        hint = did_you_mean(architecture, known.architectures)
        found.append(("architecture", f"{distribution} cannot be built for `{architecture}`", hint))
    return found
