from __future__ import annotations

import email
import email.message
import os
import subprocess
from pathlib import Path

import pytest

from goldsmith.boot import channel as channel_module
from goldsmith.boot import guest
from goldsmith.boot.channel import Channel, boothook, unit_files, user_data


def parts(text: str) -> list[tuple[str, str]]:
    """Content type and text of each part, as cloud-init walks them."""
    document = email.message_from_string(text)
    assert document.is_multipart()
    found = []
    for part in document.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((part.get_content_type(), payload.decode()))
    return found


@pytest.mark.parametrize(
    "own", ["#cloud-config\npackages: [htop]\n", "#!/bin/sh\necho it\n", "#include\nhttp://mirror.example/x\n", "# ü\n"]
)
def test_the_users_own_data_stands_beside_the_probe(own: str) -> None:
    (kind, hook), second = parts(user_data(own))
    assert (kind, hook) == ("text/cloud-boothook", boothook())
    # cloud-init decides by the first line what plain text is.
    assert second == ("text/plain", own)


def test_the_users_own_parts_stay_parts() -> None:
    own = user_data("#cloud-config\n{}\n")
    assert [kind for kind, _ in parts(user_data(own))] == ["text/cloud-boothook", "text/cloud-boothook", "text/plain"]


def test_without_own_data_it_is_the_boothook_alone() -> None:
    assert user_data(None) == boothook()
    assert boothook().startswith("#cloud-boothook\n#!/bin/sh\n")


def run_boothook(tmp_path: Path, active: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """Run it as cloud-init does, with stand-ins for systemd; what systemd-run was told, and the script."""
    script = tmp_path / "goldsmith.probe"
    tools = tmp_path / "bin"
    tools.mkdir()
    told = tmp_path / "told"
    for name, body in {"systemctl": f"exit {0 if active else 3}", "systemd-run": f'echo "$@" > {told}'}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setattr(channel_module, "_SCRIPT_IN_RUN", str(script))
    hook = tmp_path / "hook"
    hook.write_text(boothook().removeprefix("#cloud-boothook\n"))
    hook.chmod(0o700)
    subprocess.run([hook], check=True, env={"PATH": f"{tools}:{os.defpath}"})
    return told.read_text() if told.exists() else "", script


def test_the_boothook_hands_the_same_probe_to_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, script = run_boothook(tmp_path, False, monkeypatch)
    assert script.read_bytes() == guest.probe()
    assert told.split()[0] == f"--unit={guest.UNIT}"
    assert "-p DefaultDependencies=no" in told
    assert told.endswith(f"/bin/sh {script}\n")


def test_the_boothook_starts_no_second_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_boothook(tmp_path, True, monkeypatch)[0] == ""


def test_a_unit_on_disk_is_wanted_and_finds_its_script() -> None:
    files = {file.path: file for file in unit_files()}
    unit = files[f"/etc/systemd/system/{guest.UNIT}"].content.decode()
    (script,) = [path for path in files if f"ExecStart=/bin/sh {path}\n" in unit]
    assert files[script].content == guest.probe()
    assert files["/etc/systemd/system/sysinit.target.d/goldsmith-probe.conf"].content == guest.DROPIN_TEXT.encode()


def test_every_kind_says_what_it_needs() -> None:
    assert len(set(channel_module.NEEDS.values())) == len(channel_module.NEEDS) == 5
    assert str(Channel("unit", "there is no cloud-init")) == "unit: there is no cloud-init"
