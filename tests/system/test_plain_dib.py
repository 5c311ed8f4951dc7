"""The elements are DIB's: plain disk-image-create uses them, and goldsmith is not even installed."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from goldsmith.bake.build import mirrors_for
from goldsmith.host.jail import root_jail
from goldsmith.settings import PROJECT_ROOT

pytestmark = pytest.mark.system

#: an element for Windows has no phases
ELEMENTS = sorted(
    path.name
    for path in (PROJECT_ROOT / "elements").iterdir()
    if path.is_dir() and not (path / "registry.yaml").exists()
)
#: something that each element leaves in the tree; four managers of the network in one image make no sense, but they
#: build
TRACES = {
    "generalize": "./etc/apt/sources.list.d/debian.sources",
    "hybrid-boot": "./etc/repart.d/50-root.conf",
    "ifupdown": "./etc/cloud/cloud.cfg.d/95-ifupdown-owns-network.cfg",
    "metadata-frugal": "./etc/cloud/cloud.cfg.d/95-metadata-frugal.cfg",
    "netplan": "./etc/netplan/50-dhcp.yaml",
    "networkd": "./etc/systemd/network/80-dhcp.network",
    "networkmanager": "./etc/cloud/cloud.cfg.d/95-networkmanager-owns-network.cfg",
    "single-default-route": "./etc/systemd/network/80-dhcp-secondary.network",
    "text-console": "./etc/default/grub.d/60-text-console.cfg",
}


def test_disk_image_create_builds_with_each_element(virtualenv, workshop, golden, golden_plan, tmp_path: Path):
    assert set(TRACES) == set(ELEMENTS)
    virtualenv.install_package("diskimage-builder")
    tools = Path(virtualenv.virtualenv) / "bin"
    without = subprocess.run([tools / "python", "-c", "import goldsmith"], cwd=tmp_path, capture_output=True, text=True)
    assert "No module named 'goldsmith'" in without.stderr
    mirrors = mirrors_for(golden_plan, workshop.settings)
    variables = {
        "DIB_RELEASE": "trixie",
        "DIB_DISTRIBUTION_MIRROR": mirrors.url,
        "DIB_DEBIAN_SECURITY_MIRROR": mirrors.security_url,
        "DIB_CLOUD_INIT_DATASOURCES": "ConfigDrive, OpenStack",
        "DIB_IMAGE_CACHE": str(workshop.settings.cache_dir / "dib"),
        "ELEMENTS_PATH": str(PROJECT_ROOT / "elements"),
        "TMP_DIR": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": f"{tools}:{workshop.settings.base_environment['PATH']}",
    }
    log = tmp_path / "dib.log"
    tree = tmp_path / "tree.tar"
    # In a jail, so that a test that is interrupted leaves no mount; the loop device of DIB's own is freed by DIB.
    with root_jail(workshop.settings.base_environment) as jail:
        jail.run(
            [
                tools / "disk-image-create", "-n", "-t", "tar", "-o", tmp_path / "tree",
                "debian-minimal", "cloud-init-datasources", *ELEMENTS,
            ],
            env={name: value for name, value in variables.items() if value},
            deadline=1200,
            log_file=log,
        )  # fmt: skip
        jail.run(["chown", f"{os.getuid()}", tree], deadline=30)
    with tarfile.open(tree) as archive:
        names = set(archive.getnames())
    assert not {element: trace for element, trace in TRACES.items() if trace not in names}
