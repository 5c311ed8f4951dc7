"""Elements laid over a base tree make the tree that disk-image-create makes of all of them in one go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plain_dib import Entry, disk_image_create, entries
from system_help import Workshop

from goldsmith.bake.archive import Archive
from goldsmith.bake.base_tree import base_tree
from goldsmith.bake.build import given_variables, look
from goldsmith.bake.lay_over import lay_over
from goldsmith.bake.layers import split
from goldsmith.host.jail import Jail, root_jail
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import Plan, make_plan
from goldsmith.settings import PROJECT_ROOT

pytestmark = pytest.mark.system

#: what plain diskimage-builder has of its loop device, what goldsmith writes of its disk, and where the running system
#: has a file system of its own
NOT_COMPARED = r"\./lost\+found|\./etc/fstab|\./(dev|proc|sys|run|tmp)(/.*)?"


@pytest.fixture
def jail(workshop: Workshop):
    with root_jail(workshop.settings.base_environment) as made:
        yield made


def _layered(jail: Jail, plan: Plan, workshop: Workshop, archive: Archive, folder: Path) -> Path:
    """A tar of the tree as a build makes it, before it is put on a disk."""
    layers = split(plan, workshop.settings)
    given = given_variables(plan, workshop.settings, archive.epoch)
    scratch, root, over = folder / "scratch", folder / "root", folder / "over"
    for each in (scratch, root, over):
        each.mkdir()
    made = base_tree(jail, plan, layers, archive, given, workshop.settings, scratch, Progress())
    words = ["--numeric-owner", "--xattrs", "--xattrs-include=*"]
    jail.run(["tar", "-C", root, *words, "-I", "zstd", "-xf", made.tar], deadline=600)
    log = folder / "elements.log"
    lay_over(
        jail,
        plan,
        layers,
        root,
        over,
        variables=made.variables,
        given=given,
        log_file=log,
        progress=Progress(quiet=True),
    )
    tar = folder / "layered.tar"
    jail.run(["tar", "-C", root, *words, "-cf", tar, "."], deadline=600)
    return tar


def _differences(one: dict[str, Entry], other: dict[str, Entry]) -> list[str]:
    names = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return [name for name in names if not re.fullmatch(NOT_COMPARED, name)]


def _compare(jail: Jail, plan: Plan, workshop: Workshop, folder: Path) -> dict[str, Entry]:
    """The layered tree, which was seen to be that of plain disk-image-create."""
    plain, own = folder / "plain", folder / "own"
    plain.mkdir()
    own.mkdir()
    cache = workshop.settings.cache_dir / "dib"
    archive = look(plan, workshop.settings, Progress()).archive
    assert archive is not None
    made = disk_image_create(jail, plan, workshop.settings, plain, "tar", cache, archive.epoch)
    one, other = entries(made), entries(_layered(jail, plan, workshop, archive, own))
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
