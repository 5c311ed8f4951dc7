"""Config drives and NoCloud seeds, read again by code that did not write them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pycdlib
import pytest
import yaml

from goldsmith.boot import seed
from goldsmith.boot.instance import Instance, Network, make_nics
from goldsmith.boot.seed import config_drive_files, make_seed, nocloud_files, write_iso
from goldsmith.errors import CommandFailedError, HostError, InputError

FRONT = Network("front", "10.20.0.0/24", "10.20.0.1", mtu=1450, subnet6="fd20::/64")
BACK = Network("back", "10.30.0.0/28", "10.30.0.14", mtu=1500)
UUID = "6a1d0bb2-95f8-4b6c-8c1e-7d1f37f1b7c0"
KEY = ("mine", "ssh-ed25519 AAAA someone@somewhere")


def guest(**fields: object) -> Instance:
    return Instance(UUID, "guest", make_nics([FRONT, BACK]), **fields)  # type: ignore[arg-type]


def read_iso(path: Path, names: str) -> dict[str, str]:
    """All files by the names of one kind: ``rr_path`` or ``joliet_path``."""
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    found = {}
    for folder, _, files in iso.walk(**{names: "/"}):
        for name in files:
            content = io.BytesIO()
            whole = f"{folder.rstrip('/')}/{name}"
            iso.get_file_from_iso_fp(content, **{names: whole})
            found[whole.lstrip("/")] = content.getvalue().decode()
    iso.close()
    return found


def label(path: Path) -> str:
    iso = pycdlib.PyCdlib()
    iso.open(str(path))
    text: bytes = iso.pvd.volume_identifier
    iso.close()
    return text.decode().rstrip()


@pytest.mark.parametrize("names", ["rr_path", "joliet_path"])
@pytest.mark.parametrize(
    ("datasource", "expected", "name"),
    [("config-drive", config_drive_files, "config-2"), ("nocloud", nocloud_files, "cidata")],
)
def test_what_is_on_the_disk_is_what_was_meant(tmp_path: Path, names: str, datasource, expected, name: str) -> None:
    instance = guest(user_data="#cloud-config\n# ü\n", key=KEY, meta={"role": "test"})
    path = make_seed(instance, datasource, tmp_path / "seed.iso")
    assert path is not None
    assert label(path) == name
    assert read_iso(path, names) == expected(instance)
    # Nothing but the image is left.
    assert list(tmp_path.iterdir()) == [path]


def test_the_service_needs_no_disk(tmp_path: Path) -> None:
    assert make_seed(guest(), "metadata", tmp_path / "seed.iso") is None
    assert not list(tmp_path.iterdir())


def test_a_config_drive_holds_what_nova_puts_there() -> None:
    files = config_drive_files(guest(user_data="#!/bin/sh\n", key=KEY))
    versions: dict[str, set[str]] = {}
    for path in files:
        tree, version, name = path.split("/")
        versions.setdefault(f"{tree}/{version}", set()).add(name)
    ec2 = {"meta-data.json", "user-data"}
    oldest = {"meta_data.json", "user_data"}
    assert versions == {
        "ec2/2009-04-04": ec2,
        "ec2/latest": ec2,
        "openstack/2012-08-10": oldest,
        "openstack/2013-04-04": oldest,
        "openstack/2013-10-17": oldest | {"vendor_data.json"},
        "openstack/2015-10-15": oldest | {"vendor_data.json", "network_data.json"},
        "openstack/2016-06-30": oldest | {"vendor_data.json", "network_data.json"},
        **{
            f"openstack/{version}": oldest | {"vendor_data.json", "network_data.json", "vendor_data2.json"}
            for version in ("2016-10-06", "2017-02-22", "2018-08-27", "2020-10-14", "latest")
        },
    }
    ec2_tree = json.loads(files["ec2/latest/meta-data.json"])
    assert ec2_tree["public-keys"] == {"0": {"openssh-key": KEY[1]}}
    assert ec2_tree["security-groups"] == ["default"]
    assert json.loads(files["openstack/latest/meta_data.json"])["public_keys"] == dict([KEY])


def test_the_disk_says_what_the_service_says() -> None:
    instance = guest(user_data="#!/bin/sh\n", key=KEY, meta={"role": "test"})
    documents = instance.documents()
    for path, text in config_drive_files(instance).items():
        if path.startswith("openstack/"):
            assert documents[f"/{path}"] == text
            assert path.rpartition("/")[2] in documents[f"/{path.rpartition('/')[0]}"].splitlines()


def test_without_user_data_and_key_neither_is_on_a_config_drive() -> None:
    files = config_drive_files(guest())
    assert not [path for path in files if "user" in path]
    assert not [path for path, text in files.items() if "key" in text]


def test_a_nocloud_seed_tells_the_same() -> None:
    files = nocloud_files(guest(user_data="#!/bin/sh\n", key=KEY, meta={"role": "test"}))
    # The format is YAML: read as such.
    assert yaml.safe_load(files["meta-data"]) == {
        "instance-id": UUID,
        "local-hostname": "guest.novalocal",
        "public-keys": [KEY[1]],
        "role": "test",
    }
    network = yaml.safe_load(files["network-config"])
    assert network["version"] == 2
    assert network["ethernets"]["nic0"] == {
        "match": {"macaddress": "fa:16:3e:00:00:01"},
        "dhcp4": True,
        "mtu": 1450,
        "accept-ra": True,
    }
    assert "accept-ra" not in network["ethernets"]["nic1"]
    assert files["user-data"] == "#!/bin/sh\n"
    assert nocloud_files(guest())["user-data"] == ""


@pytest.mark.parametrize("meta", [{"instance-id": "other"}, {"local-hostname": "other"}])
def test_metadata_of_the_users_do_not_rename_the_instance(meta: dict[str, str]) -> None:
    found = yaml.safe_load(nocloud_files(guest(meta=meta))["meta-data"])
    assert (found["instance-id"], found["local-hostname"]) == (UUID, "guest.novalocal")


@pytest.mark.parametrize("path", ["/etc/passwd", "../out", "a/../../out", ""])
def test_no_path_leads_out_of_a_seed(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match="no path inside"):
        write_iso({path: "x"}, "config-2", tmp_path / "seed.iso")
    assert not list(tmp_path.iterdir())


def test_what_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="user-data of the seed"):
        make_seed(guest(user_data="\udcff"), "config-drive", tmp_path / "seed.iso")


def test_user_data_that_nova_would_refuse_is_refused(tmp_path: Path) -> None:
    # 65532 characters of base64 hold 49149 bytes.
    assert make_seed(guest(user_data="x" * 49149), "config-drive", tmp_path / "seed.iso")
    with pytest.raises(InputError, match="65536 characters"):
        make_seed(guest(user_data="x" * 49150), "config-drive", tmp_path / "seed.iso")


def test_a_label_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError):
        write_iso({"meta-data": "{}"}, "x" * 40, tmp_path / "seed.iso")


def test_a_host_without_the_tool_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "MKISOFS", "no-such-mkisofs")
    with pytest.raises(HostError, match="no-such-mkisofs"):
        make_seed(guest(), "config-drive", tmp_path / "seed.iso")


def test_the_readers_of_this_test_see_a_broken_image(tmp_path: Path) -> None:
    path = make_seed(guest(), "config-drive", tmp_path / "seed.iso")
    assert path
    path.write_bytes(path.read_bytes()[:40000])
    with pytest.raises(Exception, match=r"."):
        read_iso(path, "rr_path")
