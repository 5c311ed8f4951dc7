"""cloud-config/: every static drop-in of an element is there, as a link to it, and every seed is what it says."""

import pytest
import yaml

from goldsmith.render.userdata import Part, type_of
from goldsmith.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "cloud-config"
INSTALLED = sorted(PROJECT_ROOT.glob("elements/*/static/etc/cloud/cloud.cfg.d/*.cfg"))


def test_each_drop_in_of_an_element_is_linked() -> None:
    assert INSTALLED
    links = sorted((FOLDER / "baked").glob("*.cfg"))
    assert all(link.is_symlink() for link in links)
    assert sorted(link.resolve() for link in links) == INSTALLED
    readme = (FOLDER / "baked" / "README.md").read_text()
    assert [link.name for link in links if f"`{link.name}`" not in readme] == []


@pytest.mark.parametrize("path", INSTALLED, ids=lambda path: path.name)
def test_a_drop_in_is_a_mapping(path) -> None:
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_seeds_are_user_data() -> None:
    seeds = sorted((FOLDER / "testing").glob("*.cfg"))
    assert seeds
    readme = (FOLDER / "testing" / "README.md").read_text()
    for seed in seeds:
        assert type_of(Part(seed.name, seed.read_text())) == "text/cloud-config"
        assert f"`{seed.name}`" in readme
