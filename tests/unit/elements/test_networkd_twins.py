"""single-default-route's networkd-twins on folders of .network files."""

from __future__ import annotations

from pathlib import Path

import pytest
from elements_help import ROUTE_SCRIPTS, run

ETC, RUN, LIB = "etc/systemd/network", "run/systemd/network", "usr/lib/systemd/network"
DROP_IN = "90-single-default-route.conf"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (ETC, RUN, LIB):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def twins(root: Path, out: str = f"/{RUN}", policy: str = "strip") -> None:
    (root / "etc/single-default-route.conf").write_text(f"choice=first\npolicy={policy}\n")
    run([ROUTE_SCRIPTS / "networkd-twins", out], SYSROOT=str(root))


def network(root: Path, folder: str, name: str) -> None:
    (root / folder / name).write_text("[Match]\nName=ens*\n")


def links(root: Path, folder: str) -> dict[str, str]:
    return {path.name: str(path.readlink()) for path in (root / folder).iterdir() if path.is_symlink()}


def test_a_twin_comes_first_and_matches_secondary_nics_only(root: Path) -> None:
    network(root, ETC, "80-dhcp.network")
    twins(root, f"/{ETC}")
    assert links(root, ETC) == {"80-dhcp-secondary.network": f"/{ETC}/80-dhcp.network"}
    # networkd sorts by file name, byte by byte, and takes the first that matches.
    assert sorted(["80-dhcp.network", "80-dhcp-secondary.network"])[0] == "80-dhcp-secondary.network"
    lines = (root / ETC / "80-dhcp-secondary.network.d" / DROP_IN).read_text().splitlines()
    assert lines[lines.index("[Match]") + 1] == "Property=NIC_ROLE=secondary"
    assert "RouteTable=2121" in lines
    assert "RouteMetric=4096" not in lines


def test_the_policy_metric(root: Path) -> None:
    network(root, ETC, "80-dhcp.network")
    twins(root, f"/{ETC}", policy="metric")
    text = (root / ETC / "80-dhcp-secondary.network.d" / DROP_IN).read_text()
    assert text.count("RouteMetric=4096") == 2
    assert "2121" not in text


def test_at_boot_files_written_since_get_theirs_in_run(root: Path) -> None:
    network(root, ETC, "80-dhcp.network")
    twins(root, f"/{ETC}")
    network(root, ETC, "10-cloud-init-ens4.network")
    network(root, RUN, "05-late.network")
    network(root, LIB, "89-default.network")
    twins(root)
    assert links(root, RUN) == {
        "10-cloud-init-ens4-secondary.network": f"/{ETC}/10-cloud-init-ens4.network",
        "05-late-secondary.network": f"/{RUN}/05-late.network",
        "89-default-secondary.network": f"/{LIB}/89-default.network",
    }
    assert set(links(root, ETC)) == {"80-dhcp-secondary.network"}


@pytest.mark.fixture_tested("single-default-route", "ubuntu-24.04")
def test_netplan_does_not_remove_the_twins_of_its_files(root: Path) -> None:
    network(root, RUN, "10-netplan-ens3.network")
    twins(root)
    (name,) = links(root, RUN)
    # netplan's networkd.c removes 10-netplan-* before it writes anew.
    assert not name.startswith("10-netplan-")
    assert name < "10-netplan-ens3.network"
    (root / RUN / "10-netplan-ens3.network").unlink()
    network(root, RUN, "10-netplan-ens3.network")
    assert (root / RUN / f"{name}.d" / DROP_IN).exists()


def test_twice_is_as_once(root: Path) -> None:
    network(root, RUN, "10-a.network")
    twins(root)
    before = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    twins(root)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == before


def test_drop_ins_of_the_file_are_the_twins_too(root: Path) -> None:
    network(root, ETC, "80-dhcp.network")
    for folder, name in ((LIB, "10-a.conf"), (ETC, "10-a.conf"), (RUN, "20-b.conf")):
        (root / folder / "80-dhcp.network.d").mkdir(exist_ok=True)
        (root / folder / "80-dhcp.network.d" / name).write_text("[Network]\n")
    twins(root)
    assert links(root, f"{RUN}/80-dhcp-secondary.network.d") == {
        "10-a.conf": f"/{ETC}/80-dhcp.network.d/10-a.conf",
        "20-b.conf": f"/{RUN}/80-dhcp.network.d/20-b.conf",
    }


def test_masked_hidden_and_foreign_files_get_none(root: Path) -> None:
    (root / ETC / "80-masked.network").symlink_to("/dev/null")
    (root / ETC / "80-empty.network").write_text("")
    (root / ETC / "80-gone.network").symlink_to("/nonexistent")
    (root / ETC / "70-x.link").write_text("[Match]\n")
    for name in ("80-masked.network", "80-empty.network"):
        network(root, LIB, name)
    twins(root)
    assert links(root, RUN) == {}
