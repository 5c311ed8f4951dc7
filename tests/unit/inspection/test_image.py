"""What is no image, or a hostile one, is refused before the appliance starts."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from goldsmith.errors import InputError
from goldsmith.inspection.image import examined

MIB = 2**20


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def filled(path: Path) -> Path:
    """A qcow2 with 8 MiB of data in it."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(os.urandom(8 * MIB))
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        examined(path, 1.0)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_qcow2_and_a_partitioned_disk_are_images(tmp_path: Path) -> None:
    image = examined(filled(tmp_path / "a.qcow2"), 1.0)
    assert image.format == "qcow2"
    assert image.sha256 == hashlib.sha256((tmp_path / "a.qcow2").read_bytes()).hexdigest()
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as stream:
        stream.truncate(4 * MIB)
    subprocess.run(["/usr/sbin/sfdisk", "-q", raw], input="label: gpt\nsize=1MiB\n", text=True, check=True)
    assert (examined(raw, 1.0).format, examined(raw, 1.0).size) == ("raw", 4 * MIB)


def test_what_is_no_image(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nothing").endswith("nothing: no such file")
    assert refusal(tmp_path).endswith(": is a folder, not an image")
    assert refusal(Path("/dev/null")) == "/dev/null: is neither a file nor a link to one"
    (tmp_path / "empty").touch()
    assert refusal(tmp_path / "empty").endswith("empty: is empty")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert "no such file" in refusal(tmp_path / "dangling")
    (tmp_path / "text").write_text("hello\n" * 1000)
    assert "is no disk image" in refusal(tmp_path / "text")
    (tmp_path / "loop").symlink_to("loop")
    assert "loop" in refusal(tmp_path / "loop")


def test_images_that_refer_to_other_files(tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-u", "-F", "raw", "-b", "/etc/shadow", tmp_path / "backed.qcow2", "8M")
    assert "not safe to open" in refusal(tmp_path / "backed.qcow2")
    options = f"data_file={tmp_path}/data.raw,data_file_raw=on"
    qemu_img("create", "-f", "qcow2", "-o", options, tmp_path / "data.qcow2", "8M")
    assert "not safe to open" in refusal(tmp_path / "data.qcow2")


def test_another_format(tmp_path: Path) -> None:
    qemu_img("create", "-f", "vdi", tmp_path / "a.vdi", "8M")
    assert refusal(tmp_path / "a.vdi").endswith("is vdi, expected qcow2, raw, vmdk, vhd or vhdx")


@pytest.mark.parametrize(("form", "options"), [("vmdk", "subformat=streamOptimized"), ("vpc", ""), ("vhdx", "")])
def test_what_other_hypervisors_write(tmp_path: Path, form: str, options: str) -> None:
    filled(tmp_path / "a.qcow2")
    with_options = ["-o", options] if options else []
    qemu_img("convert", "-f", "raw", "-O", form, *with_options, tmp_path / "a.raw", tmp_path / "b")
    assert examined(tmp_path / "b", 1.0).format == form


def test_a_damaged_qcow2(tmp_path: Path) -> None:
    image = filled(tmp_path / "a.qcow2")
    content = bytearray(image.read_bytes())
    # The L1 table's offset stands at 40 (docs/interop/qcow2 of QEMU); its first entry then leads nowhere.
    table = int.from_bytes(content[40:48], "big")
    content[table : table + 8] = b"\x7f" * 8
    image.write_bytes(content)
    assert "a.qcow2: is damaged" in refusal(image) or "cannot be opened" in refusal(image)
    content[40:48] = (2**63).to_bytes(8, "big")
    image.write_bytes(content)
    assert "a table begins at byte 9223372036854775808" in refusal(image)


def test_a_truncated_qcow2(tmp_path: Path) -> None:
    image = filled(tmp_path / "a.qcow2")
    os.truncate(image, image.stat().st_size - 3 * MIB)
    assert "is truncated" in refusal(image) or "is damaged" in refusal(image)


def test_a_good_one_is_not_called_truncated(tmp_path: Path) -> None:
    """Compressed clusters end where they end."""
    filled(tmp_path / "a.qcow2")
    qemu_img("convert", "-c", "-O", "qcow2", tmp_path / "a.qcow2", tmp_path / "small.qcow2")
    assert examined(tmp_path / "small.qcow2", 1.0).format == "qcow2"


def test_what_may_not_be_read_is_wrong_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    image = filled(tmp_path / "a.qcow2")
    monkeypatch.setattr("goldsmith.inspection.image.image_format", refuse)
    assert "cannot be read: Permission denied" in refusal(image)
