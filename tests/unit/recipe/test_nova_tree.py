"""Nova's properties out of a small clone that looks like Nova."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from goldsmith.errors import InputError
from goldsmith.recipe.nova_tree import describe

META = """\
class ImageMetaProps(base.NovaObject):
    VERSION = '9.9'
    fields = {{
        'hw_disk_bus': fields.DiskBusField(),
        {more}
    }}
    _legacy_property_map = {{'disk_bus': 'hw_disk_bus'}}
"""
FIELDS = """\
class DiskBus(BaseNovaEnum):
    IDE = 'ide'
    ALL = (IDE, network_model.VIRTIO)


class OSType(BaseNovaEnum):
    ALL = ('linux', 'windows')

    def coerce(self, obj, attr, value):
        return value.lower()


class DiskBusField(BaseEnumField):
    AUTO_TYPE = DiskBus()


class OSTypeField(BaseEnumField):
    AUTO_TYPE = OSType()
"""


def _git(clone: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    subprocess.run(["git", *identity, "-C", str(clone), *words], check=True, capture_output=True)


def _commit(clone: Path, more: str, tag: str, manager: str = "'image_os_shutdown_timeout'") -> None:
    files = {
        "nova/objects/image_meta.py": META.format(more=more),
        "nova/objects/fields.py": FIELDS,
        "nova/network/model.py": "VIRTIO = 'virtio'\n",
        "nova/virt/arch.py": "",
        "nova/compute/manager.py": manager,
    }
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    _git(clone, "add", ".")
    _git(clone, "commit", "-m", tag)
    _git(clone, "tag", tag)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    _git(tmp_path, "init")
    _commit(tmp_path, "", "20.0.0")
    _commit(tmp_path, "'os_type': fields.OSTypeField(),", "21.0.0")
    _commit(tmp_path, "'os_type': fields.OSTypeField(), 'hw_new': fields.StringField(),", "unreleased")
    return tmp_path


def test_names_types_values_and_releases(clone: Path) -> None:
    found = describe(clone)
    assert found["properties"] == {
        "hw_disk_bus": {"type": "Enum", "since": 20, "values": ["ide", "virtio"]},
        "hw_new": {"type": "String", "since": 22},
        "os_type": {"type": "Enum", "since": 21, "values": ["linux", "windows"], "any_case": True},
        "os_shutdown_timeout": {"type": "Integer", "since": 12, "raw": "nova/compute/manager.py"},
    }
    assert found["legacy"] == {"disk_bus": "hw_disk_bus"}
    assert found["source"]["version"] == "9.9"


def test_a_raw_property_that_is_gone_is_said(clone: Path) -> None:
    _commit(clone, "", "22.0.0", manager="")
    with pytest.raises(InputError, match="os_shutdown_timeout is read no longer"):
        describe(clone)
