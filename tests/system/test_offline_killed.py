"""Offline bakes that are killed: the base is as it was, nothing half-written is taken for an image, nothing runs on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import yaml
from killed_builds import images, kill_after
from system_help import workshop_in
from windows_disks import WindowsDisks

from goldsmith.host.files import file_digest

pytestmark = [pytest.mark.system, pytest.mark.matrix]

MOMENTS = 10


def test_ten_random_moments(tmp_path: Path) -> None:
    # A cache that nobody else builds in, since whoever does would look like a leftover.
    workshop = workshop_in("killed-cache", tmp_path / "images")
    base = WindowsDisks(tmp_path).mbr("killed")
    before = file_digest(base)
    recipe = tmp_path / "killed.yaml"
    document = {
        "name": "offline-killed",
        "base": {"image": str(base), "sha256": before},
        "elements": ["windows-clock"],
        "disk": {"firmware": ["bios"]},
    }
    recipe.write_text(yaml.safe_dump(document))
    started = time.monotonic()
    whole = workshop.goldsmith("build", recipe)
    assert whole.returncode == 0, whole.stderr
    seconds = time.monotonic() - started
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    killed = 0
    while killed < MOMENTS:
        known = images(workshop)
        moment = chance.uniform(0.1, 0.9) * seconds
        left = kill_after(workshop, recipe, moment)
        if left is None:
            # The host is faster than it was.
            seconds = moment
            continue
        killed += 1
        told = f"seed {seed}, {left}"
        assert file_digest(base) == before, told
        assert not left.processes, told
        assert not left.mounts, told
        assert not left.loop_devices, told
        assert not left.images, told
        assert images(workshop) == known, told
    # What was there is whole, and the next build sweeps what the others left.
    again = workshop.goldsmith("build", "--again", recipe)
    assert again.returncode == 0, again.stderr
    assert workshop.litter() == []
