"""The services that the other tests of the cloud stand on: who may do what, both ways of uploading, a power cut."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import openstack
import pytest
from cloud_services import Cloud


def _image(folder: Path) -> Path:
    image = folder / "small.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True)
    return image


def test_roles_and_projects_are_told_apart(cloud: Cloud) -> None:
    assert cloud.connect("member").image.get_import_info().import_methods["value"] == ["glance-direct", "web-download"]
    with pytest.raises(openstack.exceptions.ForbiddenException):
        cloud.connect("reader").image._create(openstack.image.v2.image.Image, name="x")
    mine = cloud.connect("member").image._create(openstack.image.v2.image.Image, name="private", visibility="private")
    try:
        assert [image.id for image in cloud.connect("admin").image.images(name="private")] == [mine.id]
        assert not list(cloud.connect("other").image.images(name="private"))
    finally:
        cloud.connect("member").image.delete_image(mine.id)


def test_data_outlive_a_power_cut(cloud: Cloud, tmp_path: Path) -> None:
    member = cloud.connect("member")
    made = member.create_image(
        "kept", filename=str(_image(tmp_path)), disk_format="qcow2", container_format="bare", wait=True
    )
    try:
        cloud.restart_glance(number=signal.SIGKILL)
        assert member.image.get_image(made.id).status == "active"
    finally:
        member.image.delete_image(made.id)
