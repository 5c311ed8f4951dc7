from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from verify_standins import FakeShell, Said

from goldsmith.verify import settle
from goldsmith.verify.subjects import TIMED_OUT, LiveGuest

NIC = "ens3 /sys/devices/pci0000:00/0000:00:03.0/virtio1\nens4 /sys/devices/pci0000:00/0000:00:04.0/virtio2\n"
ONE = "1: lo    inet 127.0.0.1/8\n2: ens3    inet 10.20.0.10/24 valid_lft 86399sec\n"
BOTH = ONE + "3: ens4    inet 10.30.0.10/24 valid_lft 86399sec\n"


def shell(**changed: Said | list[Said]) -> FakeShell:
    answers: dict[str, Said | list[Said]] = {
        "is-system-running": Said("running\n"),
        "cloud-init status": Said("status: done\n"),
        "/sys/class/net": Said(NIC),
        "ip -o address": Said(BOTH),
        "list-jobs": Said("42 slow.service start running\n"),
    }
    return FakeShell({**answers, **changed})


def findings(fake: FakeShell, scale: float = 1.0) -> list[tuple[str, str]]:
    found = settle.settled(LiveGuest(fake, scale), sleep=lambda seconds: None)
    return [(f.expected, f.seen) for f in found]


def test_a_guest_at_rest() -> None:
    assert findings(shell()) == []
    assert findings(shell(**{"is-system-running": Said("degraded\n", 1)})) == [], "a failed unit is another check"
    assert findings(shell(**{"cloud-init status": Said("status: done\n", 2)})) == []


def test_a_guest_that_is_asked_too_early_is_asked_again() -> None:
    early = [Said("", 1, "Failed to connect to bus"), Said("starting\n", 1), Said("running\n")]
    assert findings(shell(**{"is-system-running": early})) == []


def test_a_guest_that_never_settles_shows_its_jobs() -> None:
    found = findings(shell(**{"is-system-running": Said("starting\n", TIMED_OUT)}))
    assert found == [
        ("systemd has started all there is to start", "starting, waiting for:\n42 slow.service start running")
    ]
    assert findings(shell(**{"is-system-running": Said("maintenance\n", 1)})) != []


def test_cloud_init_that_fails_or_hangs() -> None:
    fake = shell(**{"cloud-init status": Said("status: error\nno datasource\n", 1)})
    failed = findings(fake)
    assert any("ip -o address" in asked for asked in fake.asked), "the network is waited for all the same"
    assert failed == [("cloud-init is done without an error", "status: error\nno datasource")]
    assert findings(shell(**{"cloud-init status": Said("....", TIMED_OUT)})) == [
        ("cloud-init is done", "it still runs:\n....")
    ]


@pytest.mark.parametrize(
    ("result", "asked"),
    [
        ('{\n "v1": {\n  "datasource": "DataSourceNone",\n  "errors": []\n }\n}', False),
        ('{\n "v1": {\n  "errors": [\n   "(\'scripts-user\', RuntimeError())"\n  ]\n }\n}', True),
        ("", True),
        (None, True),
    ],
)
def test_cloud_init_is_asked_where_its_result_does_not_say_that_all_is_well(
    tmp_path: Path, result: str | None, asked: bool
) -> None:
    program = tmp_path / "cloud-init"
    program.write_text("#!/bin/sh\necho asked >&2; exit 1\n")
    program.chmod(0o755)
    if result is not None:
        (tmp_path / "result.json").write_text(result)
    script = settle._CLOUD_INIT_DONE.replace("/run/cloud-init", str(tmp_path))
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(["/bin/sh", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, "asked" in done.stderr) == (int(asked), asked)
    program.unlink()
    assert subprocess.run(["/bin/sh", "-c", script], env={"PATH": path}, check=False).returncode == 0


def test_the_network_is_waited_for_until_every_nic_has_an_address_and_nothing_moves() -> None:
    # Only the lifetime differs between the last ones.
    later = BOTH.replace("86399", "86390")
    fake = shell(**{"ip -o address": [Said(ONE), Said(ONE), Said(ONE), Said(ONE), Said(BOTH), Said(later)]})
    assert findings(fake) == []
    assert sum("ip -o address" in asked for asked in fake.asked) == 8


def test_a_network_that_never_comes_is_left_to_the_checks() -> None:
    assert findings(shell(**{"ip -o address": Said(ONE)}), scale=0.02) == []


def test_failed_units_are_named_with_their_log() -> None:
    fake = shell(
        **{
            "list-units": Said("networking.service loaded failed failed Raise network interfaces\n"),
            "journalctl": Said("RTNETLINK answers: File exists\n"),
        }
    )
    found = settle.no_failed_units(LiveGuest(fake))
    assert [f.seen for f in found] == ["networking.service\nRTNETLINK answers: File exists"]
    assert "-u 'networking.service'" in fake.asked[-1]
    assert settle.no_failed_units(LiveGuest(shell(**{"list-units": Said("\n")}))) == []


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("goldsmith-bios login: ", True),
        ("goldsmith-bios login:", True),
        ("goldsmith-bios login: [  179.163361] cloud-init[470]: Cloud-init v. 25.1.4 running", True),
        ("[  OK  ] Started getty@tty1.service - Getty on tty1, for login: all.", False),
        ("[  OK  ] Reached target getty.target - Login Prompts.", False),
        ("login: ", False),
    ],
)
def test_a_login_prompt_is_told_from_other_lines(line: str, prompt: bool) -> None:
    text = f"Debian GNU/Linux 13 x ttyS0\n\n{line}\nmore"
    assert (re.search(settle.LOGIN_PROMPT, text, re.MULTILINE) is not None) is prompt
