from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from goldsmith.boot import accelerator
from goldsmith.boot.accelerator import Accelerator, choose, decide
from goldsmith.errors import HarnessError, HostError
from goldsmith.settings import Settings


def measured(**seconds: float | None):
    return lambda name: seconds[name]


@pytest.mark.parametrize(
    ("kvm", "name", "said"),
    [
        (0.01, "kvm", "KVM took"),
        (0.10, "kvm", "KVM took"),
        (0.30, "kvm", "KVM took"),  # noise: what is broken is slower by seconds
        (1.10, "tcg", "slower"),
        (None, "tcg", "broken"),
    ],
)
def test_kvm_is_taken_unless_it_is_clearly_slower(kvm: float | None, name: str, said: str) -> None:
    chosen = decide(None, measured(tcg=0.10, kvm=kvm))
    assert chosen.name == name
    assert said in chosen.reason


def test_a_refusal_is_the_reason_and_kvm_is_not_tried() -> None:
    chosen = decide("/dev/kvm cannot be opened: Permission denied", measured(tcg=0.1))
    assert chosen == Accelerator("tcg", "/dev/kvm cannot be opened: Permission denied", {"tcg": 0.1}, 1.0)


def test_qemu_refusing_kvm_is_no_crash() -> None:
    def measure(name: str) -> float:
        if name == "kvm":
            raise HarnessError("ioctl(KVM_CREATE_VM) failed")
        return 0.1

    assert "KVM_CREATE_VM" in decide(None, measure).reason


def test_a_host_that_cannot_even_emulate_is_an_error() -> None:
    with pytest.raises(HarnessError, match="did not finish"):
        decide(None, measured(tcg=None, kvm=0.01))


@pytest.mark.parametrize(("tcg", "scale"), [(0.02, 1.0), (0.1, 1.0), (0.25, 2.5), (9.0, accelerator.MOST_SCALE)])
def test_deadlines_grow_on_slow_hosts_and_never_shrink_under_emulation(tcg: float, scale: float) -> None:
    assert decide("no", measured(tcg=tcg)).scale == pytest.approx(scale)


def test_deadlines_shrink_under_kvm_to_a_fifth_at_most() -> None:
    assert decide(None, measured(tcg=0.1, kvm=0.001)).scale == pytest.approx(accelerator.KVM_SCALE)


def test_libguestfs_follows_the_choice() -> None:
    assert Accelerator("tcg", "", {}, 1.0).libguestfs_environment["LIBGUESTFS_BACKEND_SETTINGS"] == "force_tcg"
    assert "LIBGUESTFS_BACKEND_SETTINGS" not in Accelerator("kvm", "", {}, 1.0).libguestfs_environment


def test_the_canary_runs_under_emulation_and_its_time_grows_with_its_spins() -> None:
    short = accelerator.spin("tcg", 1, 20)
    long = accelerator.spin("tcg", 200_000_000, 60)
    assert short is not None
    assert long is not None
    assert long > short + 0.1


def test_a_canary_that_spins_too_long_is_killed() -> None:
    assert accelerator.spin("tcg", 4_000_000_000, 0.5) is None


def test_an_accelerator_that_qemu_does_not_have_is_reported() -> None:
    with pytest.raises(HarnessError, match=r"hvf|accel"):
        accelerator.spin("hvf", 1, 20)  # type: ignore[arg-type]


def test_without_qemu_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "QEMU", "qemu-system-nothing")
    with pytest.raises(HostError, match="install qemu-system-x86"):
        accelerator.spin("tcg", 1, 20)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Replaces the measurement; each call is appended."""
    calls: list[str | None] = []

    def fake(refusal: str | None) -> Accelerator:
        calls.append(refusal)
        return Accelerator("tcg", f"measurement {len(calls)}", {"tcg": 0.1}, 1.0)

    monkeypatch.setattr(accelerator, "decide", fake)
    return calls


def test_the_answer_is_remembered_for_this_boot(settings: Settings, counted: list[str | None]) -> None:
    first = choose(settings)
    assert choose(settings) == first
    assert len(counted) == 1
    assert choose(settings, again=True).reason == "measurement 2"
    assert choose(settings).reason == "measurement 2"


def test_another_boot_measures_again(
    settings: Settings, counted: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    choose(settings)
    other = tmp_path / "boot_id"
    other.write_text("another-boot\n")
    monkeypatch.setattr(accelerator, "BOOT_ID", other)
    choose(settings)
    assert len(counted) == 2


def test_a_device_that_opens_now_measures_again(
    settings: Settings, counted: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accelerator, "KVM_DEVICE", settings.cache_dir / "missing")
    choose(settings)
    monkeypatch.setattr(accelerator, "KVM_DEVICE", Path(os.devnull))
    choose(settings)
    assert [refusal is None for refusal in counted] == [False, True]


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        '{"key": 1}',
        json.dumps({"name": "qemu"}),
        json.dumps({"scale": 0}),
        json.dumps({"scale": "fast"}),
        json.dumps({"spin_seconds": [1]}),
    ],
)
def test_a_damaged_memory_measures_again(settings: Settings, counted: list[str | None], damage: str) -> None:
    choose(settings)
    path = settings.cache_dir / "accelerator.json"
    good = json.loads(path.read_text())
    fields = json.loads(damage) if damage.startswith('{"') and "key" not in damage else None
    path.write_text(json.dumps({**good, "accelerator": {**good["accelerator"], **fields}}) if fields else damage)
    assert choose(settings).reason == "measurement 2"
    assert choose(settings).reason == "measurement 2"
