"""Elements laid over a base tree, and what they changed over its disk: the tree of disk-image-create in one go."""

from __future__ import annotations

import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from plain_dib import Entry, disk_image_create, entries
from system_help import Workshop

from goldsmith.bake.archive import Archive
from goldsmith.bake.base import prepared
from goldsmith.bake.build import given_variables, look
from goldsmith.bake.disk import make_disk
from goldsmith.bake.ext4 import place_of, quoted
from goldsmith.bake.lay_over import lay_over
from goldsmith.bake.layers import split
from goldsmith.bake.layout import make_layout
from goldsmith.host.jail import Jail, root_jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import PROJECT_ROOT

pytestmark = pytest.mark.system

#: what each has of its own disk, and where the running system has a file system of its own
NOT_COMPARED = r"\./lost\+found|\./etc/fstab|\./boot/(grub|efi)(/.*)?|\./(dev|proc|sys|run|tmp)(/.*)?"
#: CPython before 3.11 writes the members of a frozenset in an order that is another in each process: two builds by
#: diskimage-builder differ there too
UNORDERED = r".*\.cpython-3(\d|10)\.pyc"


@pytest.fixture
def jail(workshop: Workshop):
    with root_jail(workshop.settings.base_environment) as made:
        yield made


def _layered(jail: Jail, plan: Plan, workshop: Workshop, archive: Archive, folder: Path) -> dict[str, Entry]:
    """The tree as it lies on the disk of a build."""
    layers = split(plan, workshop.settings)
    given = given_variables(plan, workshop.settings, archive.epoch)
    scratch, root, disk, over = folder / "scratch", folder / "root", folder / "disk", folder / "over"
    for each in (scratch, disk, over):
        each.mkdir()
    image, raw = folder / "image.qcow2", folder / "image.raw"
    layout = make_layout(plan.recipe.disk.size, plan.digest)
    epoch, settings = archive.epoch, workshop.settings
    with prepared(jail, plan, layers, archive, given, root, settings, scratch, Progress(), epoch=epoch) as base:
        lay_over(
            jail,
            plan,
            layers,
            root,
            over,
            variables=base.variables,
            given=given,
            log_file=folder / "elements.log",
            progress=Progress(quiet=True),
        )
        make_disk(jail, root, base.disk, disk, layout, image, epoch=epoch, progress=Progress())
    jail.run(["rm", "-rf", root], deadline=300)
    jail.run(["qemu-img", "convert", "-O", "raw", image, raw], deadline=600)
    return _on_disk(jail, place_of(raw, layout), folder)


def _on_disk(jail: Jail, place: str, folder: Path) -> dict[str, Entry]:
    """All files of an ext4, by debugfs, which loses set-id bits when it writes files, and shows them in lists."""
    back, tar, script = folder / "back", folder / "layered.tar", folder / "lists.txt"
    back.mkdir()
    jail.run(["debugfs", "-R", f"rdump / {back}", place], deadline=600)
    jail.run(["tar", "-C", back, "--numeric-owner", "-cf", tar, "."], deadline=600)
    found = entries(tar)
    folders = [name for name, entry in found.items() if entry.kind == tarfile.DIRTYPE]
    script.write_text("".join(f"ls -p {quoted(name.removeprefix('.') or '/')}\n" for name in folders))
    said = jail.run(["debugfs", "-f", script, place], deadline=600).stdout
    lists = re.split(r"^debugfs: ls .*\n", said, flags=re.MULTILINE)[1:]
    for name, listed in zip(folders, lists, strict=True):
        for line in listed.splitlines():
            if (facts := line.split("/")) and len(facts) > 5 and (path := f"{name}/{facts[5]}") in found:
                seen = found[path]
                found[path] = Entry(seen.kind, int(facts[2], 8) & 0o7777, (int(facts[3]), int(facts[4])), seen.content)
    return found


def _differences(one: dict[str, Entry], other: dict[str, Entry]) -> list[str]:
    names = [name for name in sorted(one.keys() | other.keys()) if not _alike(name, one.get(name), other.get(name))]
    return [name for name in names if not re.fullmatch(NOT_COMPARED, name)]


def _alike(name: str, one: Entry | None, other: Entry | None) -> bool:
    if one and other and re.fullmatch(UNORDERED, name):
        return replace(one, content=b"") == replace(other, content=b"") and len(one.content) == len(other.content)
    return one == other


def _compare(jail: Jail, plan: Plan, workshop: Workshop, folder: Path) -> dict[str, Entry]:
    """The layered tree, which was seen to be that of plain disk-image-create."""
    plain, own = folder / "plain", folder / "own"
    plain.mkdir()
    own.mkdir()
    cache = workshop.settings.cache_dir / "dib"
    archive = look(plan, workshop.settings, Progress()).archive
    assert archive is not None
    made = disk_image_create(jail, plan, workshop.settings, plain, "tar", cache, archive.epoch)
    one, other = entries(made), _layered(jail, plan, workshop, archive, own)
    assert len(one) > 15000
    assert _differences(one, other) == []
    return other


def test_layers_make_the_tree_of_one_go(jail: Jail, golden_plan: Plan, workshop: Workshop, tmp_path: Path) -> None:
    # Where the golden image was built, its base is in the store already.
    made = _compare(jail, golden_plan, workshop, tmp_path)
    # A file more, one that is another's: each would have been seen.
    name = "./etc/default/grub.d/60-text-console.cfg"
    spoiled = Entry(made[name].kind, made[name].mode, (1, 1), made[name].content)
    assert _differences(made, {**made, name: spoiled, "./etc/more": spoiled}) == [name, "./etc/more"]


@pytest.mark.matrix
@pytest.mark.parametrize(
    "name", ["debian-11", "debian-12", "debian-13-dhcpcd", "debian-13-netplan", "debian-13-networkmanager"]
)
def test_so_they_do_for_the_other_guests(jail: Jail, workshop: Workshop, tmp_path: Path, name: str) -> None:
    recipe = PROJECT_ROOT / "recipes" / f"{name}.yaml"
    _compare(jail, make_plan(load(recipe, workshop.settings), workshop.settings), workshop, tmp_path)
