"""Images that would lead QEMU to another file, or into the dark, are refused by this process alone."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from image_samples import FORMATS, MIB, SIZE, changed, disk, image, luks, qemu_img, refusal, with_footer

from goldsmith.errors import InputError
from goldsmith.images import untrusted
from goldsmith.images.untrusted import image_format, looked_at

KIB = 2**10


@pytest.fixture(autouse=True)
def _no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is decided here, nothing else has opened the file."""

    def refuse(*words: object, **more: object) -> None:
        raise AssertionError(f"something was run: {words}")

    monkeypatch.setattr("goldsmith.host.run.run", refuse)
    monkeypatch.setattr("goldsmith.images.qemu.run", refuse)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_good_image_of_each_format(tmp_path: Path, kind: str) -> None:
    path = image(tmp_path, kind)
    header = looked_at(path)
    assert header.format == FORMATS[kind][0]
    # A VHD counts in cylinders.
    assert SIZE <= header.virtual_size < SIZE + MIB
    link = tmp_path / "link"
    link.symlink_to(path)
    assert image_format(link) == header.format


def test_other_good_ones(tmp_path: Path) -> None:
    for kind, options in (("vmdk", "subformat=monolithicSparse"), ("vhd", "subformat=fixed"), ("qcow2", "compat=0.10")):
        assert image_format(image(tmp_path, kind, options)) == FORMATS[kind][0]


def test_a_backing_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", path, "8M")
    assert refusal(path) == "is not safe to open: Image has a backing file"


def test_a_data_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path}/b,data_file_raw=on", path, "8M")
    assert "Image has data_file set" in refusal(path)
    # The feature bit taken away: the name is still there.
    features = int.from_bytes(path.read_bytes()[72:80], "big")
    assert refusal(changed(path, 72, (features & ~4).to_bytes(8, "big"))) == "names an external data file"


def test_features_that_nobody_else_takes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    qemu_img("create", "-f", "qcow2", "-o", "extended_l2=on", path, "8M")
    assert "Unknown QCOW2 features" in refusal(path)
    path = image(tmp_path, "qcow2")
    assert "Unknown QCOW2 features" in refusal(changed(path, 72, (1 << 40).to_bytes(8, "big")))


@pytest.mark.parametrize("method", ["luks", "aes"])
def test_encryption(tmp_path: Path, method: str) -> None:
    path = image(tmp_path, "qcow2")
    number = {"aes": 1, "luks": 2}[method]
    assert refusal(changed(path, 32, number.to_bytes(4, "big"))) == "is encrypted"


def test_luks(tmp_path: Path) -> None:
    path = tmp_path / "a"
    luks(path)
    assert refusal(path).startswith("is luks, expected")


def test_an_old_qcow_and_a_vdi(tmp_path: Path) -> None:
    path = image(tmp_path, "qcow2")
    assert "Unsupported qcow2 version" in refusal(changed(path, 4, (1).to_bytes(4, "big")))
    qemu_img("create", "-f", "vdi", tmp_path / "b", "8M")
    assert refusal(tmp_path / "b").startswith("is vdi, expected")


def test_internal_snapshots_are_counted(tmp_path: Path) -> None:
    path = image(tmp_path, "qcow2")
    qemu_img("snapshot", "-c", "one", path)
    qemu_img("snapshot", "-c", "two", path)
    assert looked_at(path).snapshots == 2


DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=fffffffe
parentCID={parent}
createType="{kind}"
{more}
RW 16384 {extent}
"""


def descriptor(
    kind: str = "streamOptimized", extent: str = 'SPARSE "a.vmdk"', parent: str = "ffffffff", more: str = ""
) -> bytes:
    return DESCRIPTOR.format(kind=kind, extent=extent, parent=parent, more=more).encode().ljust(20 * 512, b"\0")


def test_a_vmdk_of_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for kind, extent in (
        ("monolithicFlat", 'FLAT "/etc/shadow" 0'),
        ("monolithicFlat", 'FLAT "../../etc/shadow" 0'),
        ("twoGbMaxExtentSparse", 'SPARSE "b.vmdk"'),
        ("streamOptimized", 'SPARSE "b.vmdk"'),
    ):
        path.write_bytes(descriptor(kind, extent).rstrip(b"\0"))
        assert "VMDK whose data lie" in refusal(path) or "Unsupported subformat" in refusal(path)


def test_a_vmdk_with_a_descriptor_of_another(tmp_path: Path) -> None:
    path = image(tmp_path, "vmdk")
    # The control: the descriptor as it should be.
    assert image_format(changed(path, 512, descriptor())) == "vmdk"
    for wrong, words in (
        (descriptor(extent='SPARSE "/etc/shadow"'), "Invalid extent filenames"),
        (descriptor(extent='SPARSE "..\\\\b.vmdk"'), "extent elsewhere"),
        (descriptor(extent='FLAT "b.raw" 0'), "other extents than its own"),
        (descriptor(more='RW 8 SPARSE "b.vmdk"'), "other extents than its own"),
        (descriptor(kind="monolithicFlat"), "Unsupported subformat"),
        # oslo.utils takes the first for its lower case, QEMU the second for its case
        (descriptor(more='CREATETYPE="streamOptimized"'), "does not say that it is streamOptimized"),
        (descriptor(more='parentFileNameHint="/etc/shadow"'), "names a parent"),
        (descriptor(parent="12345678"), "with a parent"),
        # past the NUL that ends the text for one reader
        (descriptor()[:2048] + b"parentFileNameHint=x", "names a parent"),
    ):
        assert words in refusal(changed(path, 512, wrong.ljust(20 * 512, b"\0")))


def test_a_vmdk_that_is_only_an_envelope(tmp_path: Path) -> None:
    """QEMU takes a header of capacity 0 for a descriptor's, and opens what that names."""
    path = image(tmp_path, "vmdk", "subformat=monolithicSparse")
    assert refusal(changed(path, 12, bytes(8))) == "is a VMDK whose data lie in other files"


def test_a_vmdk_with_two_headers(tmp_path: Path) -> None:
    path = with_footer(image(tmp_path, "vmdk"))
    assert image_format(path) == "vmdk"
    assert "footer that contradicts" in refusal(changed(path, -1024 + 12, (7).to_bytes(8, "little")))
    path = with_footer(image(tmp_path, "vmdk"))
    os.truncate(path, path.stat().st_size - 100)
    assert refusal(path)


def test_a_differencing_vhd(tmp_path: Path) -> None:
    path = image(tmp_path, "vhd")
    header_at = 512 + 64
    assert "names a parent" in refusal(changed(path, header_at, "C:\\x".encode("utf-16-be")))
    assert "is a differencing VHD" in refusal(changed(path, 60, (4).to_bytes(4, "big")))
    fixed = image(tmp_path, "vhd", "subformat=fixed")
    assert "is a differencing VHD" in refusal(changed(fixed, -512 + 60, (4).to_bytes(4, "big")))


def vhdx_metadata(path: Path) -> int:
    """Where the metadata region begins, by its signature."""
    return path.read_bytes().index(b"metadata")


def test_a_differencing_vhdx(tmp_path: Path) -> None:
    path = image(tmp_path, "vhdx")
    start = vhdx_metadata(path)
    content = path.read_bytes()
    count = int.from_bytes(content[start + 10 : start + 12], "little")
    entries = [content[start + 32 * number : start + 32 * number + 32] for number in range(1, count + 1)]
    parameters = next(entry for entry in entries if entry.startswith(struct.pack("<I", 0xCAA16737)))
    at = start + int.from_bytes(parameters[16:20], "little") + 4
    flags = int.from_bytes(content[at : at + 4], "little")
    assert "differencing VHDX" in refusal(changed(path, at, (flags | 2).to_bytes(4, "little")))
    changed(path, at, flags.to_bytes(4, "little"))
    locator = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c") + struct.pack("<IIII", 64 * KIB, 8, 0, 0)
    changed(path, start + 32 * (count + 1), locator)
    assert image_format(path) == "vhdx"
    assert "differencing VHDX" in refusal(changed(path, start + 10, (count + 1).to_bytes(2, "little")))


def test_a_vhdx_that_was_not_closed(tmp_path: Path) -> None:
    path = image(tmp_path, "vhdx")
    for header in (64 * KIB, 128 * KIB):
        changed(path, header + 48, b"\1" * 16)
    assert "log must be replayed" in refusal(path)


def test_a_vhdx_whose_tables_lead_nowhere(tmp_path: Path) -> None:
    path = image(tmp_path, "vhdx")
    assert refusal(changed(path, 192 * KIB + 8, (2**32 - 1).to_bytes(4, "little")))
    path = image(tmp_path, "vhdx")
    # Both regions at one place that does not exist, and lengths of 4 GiB.
    for entry in range(2):
        changed(path, 192 * KIB + 16 + 32 * entry + 16, struct.pack("<QI", 2**62, 2**32 - 1))
    assert refusal(path)


def test_one_format_inside_another(tmp_path: Path) -> None:
    path = disk(tmp_path / "disk.raw")
    assert image_format(path) == "raw"
    header = bytearray(image(tmp_path, "qcow2").read_bytes()[:112])
    # A partition table, and a qcow2 that names its backing file: raw to one reader, and not to another.
    assert "Multiple formats" in refusal(changed(disk(tmp_path / "disk.raw"), 0, header))


def test_a_hybrid_partition_table(tmp_path: Path) -> None:
    path = disk(tmp_path / "disk.raw")
    entry = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0]) + struct.pack("<II", 2048, 2048)
    assert "GPT MBR defines invalid extra partitions" in refusal(changed(path, 446 + 16, entry))


@pytest.mark.parametrize("kind", ["raw", "vmdk", "vhd", "vhdx"])
def test_cut_off(tmp_path: Path, kind: str) -> None:
    """Within the data, the tables of a qcow2 and a VMDK tell: test_standalone.py."""
    path = image(tmp_path, kind)
    size = path.stat().st_size
    os.truncate(path, {"vmdk": 12 * KIB, "vhdx": 2 * MIB + MIB // 2}.get(kind, size - MIB // 8))
    assert any(words in refusal(path) for words in ("is truncated", "Incomplete file"))


def test_cut_off_in_the_header(tmp_path: Path) -> None:
    for kind in FORMATS:
        content = image(tmp_path, kind).read_bytes()
        for length in (1, 4, 8, 63, 72, 100, 511, 512, 600, 1500):
            path = tmp_path / "cut"
            path.write_bytes(content[:length])
            assert refusal(path)


def test_a_disk_larger_than_any(tmp_path: Path) -> None:
    path = tmp_path / "a"
    qemu_img("create", "-f", "qcow2", "-o", "cluster_size=2M", path, "17T")
    assert refusal(path).startswith("says that it is a disk of")
    with disk(tmp_path / "b").open("r+b") as stream:
        stream.truncate(untrusted.LARGEST // 2)
    # Sparse: looked at in its first and last bytes.
    assert image_format(tmp_path / "b") == "raw"
    qcow2 = image(tmp_path, "qcow2")
    assert refusal(changed(qcow2, 24, bytes(8))).startswith("says that it is a disk of 0 bytes")


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(tmp_path / "nothing") == "no such file"
    assert refusal(tmp_path) == "is a folder, not an image"
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "is neither a file nor a link to one"
    assert refusal(Path("/dev/zero")) == "is neither a file nor a link to one"
    (tmp_path / "empty").touch()
    assert refusal(tmp_path / "empty") == "is empty"
    (tmp_path / "dangling").symlink_to("nowhere")
    assert refusal(tmp_path / "dangling") == "no such file"
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop").startswith("cannot be read: ")
    path = image(tmp_path, "qcow2")

    def refuse(*words: object, **more: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Root may read everything, and tests run as root.
    monkeypatch.setattr("goldsmith.images.source.os.open", refuse)
    assert refusal(path) == "cannot be read: Permission denied"


def test_a_stumbling_inspector_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path, "qcow2")

    def stumble(source: object) -> None:
        raise AttributeError("vmdktype")

    monkeypatch.setattr(untrusted, "_inspector", stumble)
    with pytest.raises(InputError, match="make no sense"):
        looked_at(path)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The inspector logs what it then raises; said twice, it would be one time too many."""
    path = tmp_path / "a"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", "/x", path, "8M"], check=True)
    refusal(path)
    assert capfd.readouterr() == ("", "")
