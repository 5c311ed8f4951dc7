"""The doctor: facts found for real, gaps named with their remedy, and one broken check never hides the others."""

import dataclasses
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from goldsmith import doctor
from goldsmith.boot.accelerator import Accelerator
from goldsmith.doctor import BUILD, VERIFY, Finding, Tool
from goldsmith.errors import HarnessError, HostError
from goldsmith.host import jail_agent
from goldsmith.host.apt_sources import Source
from goldsmith.settings import PROJECT_ROOT, Settings, from_environment

TCG = Accelerator("tcg", "/dev/kvm cannot be opened", {"tcg": 0.1}, 1.0)
KVM = Accelerator("kvm", "faster", {"tcg": 0.1, "kvm": 0.01}, 0.2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment(
        {
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
            "GOLDSMITH_CACHE": str(tmp_path / "cache"),
            "GOLDSMITH_IMAGES": str(tmp_path / "images"),
        }
    )


def test_a_finding_that_nothing_needs_is_advice() -> None:
    assert Finding("x", False, "d", None, (BUILD,)).is_gap
    assert not Finding("x", False, "d").is_gap
    assert not Finding("x", True, "d", None, (BUILD,)).is_gap


def test_every_tool_comes_from_a_package_of_the_list() -> None:
    text = (PROJECT_ROOT / "setup/debian-packages.txt").read_text()
    packages = {line.split("#")[0].strip() for line in text.splitlines()} - {""}
    assert {tool.package for tool in doctor.TOOLS if tool.package} <= packages
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9.+-]+ +# \S.*", line), f"no reason given: {line}"


def test_tools_have_versions(settings: Settings) -> None:
    found = {finding.name: finding for finding in doctor.check_tools(settings)}
    assert set(found) == {tool.program for tool in doctor.TOOLS}
    for name in ("mke2fs", "sfdisk", "qemu-img", "unshare", "disk-image-create"):
        assert found[name].ok, found[name]
        assert re.match(r"\d+\.\d+", found[name].detail)
    versions = doctor.image_tools(settings)
    assert "unknown" not in versions.values()
    assert versions["mke2fs"] in found["mke2fs"].detail
    # What only looks at an image must not make it stale.
    assert not {"qemu-system-x86_64", "dnsmasq", "sudo"} & set(versions)


def test_missing_tool_is_named_with_its_package(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = dataclasses.replace(settings, base_environment={"PATH": str(tmp_path)})
    monkeypatch.setattr(
        doctor, "TOOLS", (Tool("mcopy", "mtools", (BUILD,)), Tool("no-dib", None, (BUILD,)), Tool("mm", "m", ()))
    )
    mcopy, dib, mm = doctor.check_tools(bare)
    assert (mcopy.ok, mcopy.detail, mcopy.needed_for) == (False, "not installed", (BUILD,))
    assert "apt-get install mtools" in (mcopy.remedy or "")
    assert dib.remedy == "run setup/prepare"
    assert not mm.ok and not mm.is_gap
    assert doctor.image_tools(bare) == {}


@pytest.mark.parametrize("chosen", [TCG, KVM])
def test_libguestfs_follows_the_accelerator(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, chosen: Accelerator
) -> None:
    monkeypatch.setattr(doctor.accelerator, "choose", lambda settings: chosen)
    accelerator, libguestfs = doctor.check_accelerator(settings)
    assert accelerator.detail.startswith(f"{chosen.name}: {chosen.reason}")
    assert libguestfs.ok, libguestfs
    assert ("force_tcg" in libguestfs.detail) == (chosen.name == "tcg")


def test_without_hivex_only_a_windows_is_out_of_reach(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = doctor.check_hivex(settings)
    assert found.ok
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    (missing,) = doctor.check_hivex(settings)
    assert not missing.ok
    assert not missing.is_gap
    assert "python3-hivex" in (missing.remedy or "")


def test_bindings_that_cannot_be_imported_are_a_gap(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.accelerator, "choose", lambda settings: TCG)
    monkeypatch.setitem(sys.modules, "guestfs", None)
    _, libguestfs = doctor.check_accelerator(settings)
    assert libguestfs.is_gap
    assert "system-site-packages" in (libguestfs.remedy or "")


@pytest.mark.parametrize(
    ("kernels", "modules", "detail", "remedy"),
    [
        ([], [], "no .*/vmlinuz-\\*", "linux-image-cloud-amd64"),
        (["6.1"], [], "vmlinuz-6.1 has no", "linux-image-cloud-amd64"),
        (["6.1"], ["6.1"], "vmlinuz-6.1 is not readable", "dpkg-statoverride .* 0644 .*vmlinuz-6.1"),
    ],
)
def test_kernel_that_cannot_be_used(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kernels: list[str],
    modules: list[str],
    detail: str,
    remedy: str,
) -> None:
    for name, folder in (("BOOT", tmp_path / "boot"), ("MODULES", tmp_path / "modules")):
        folder.mkdir()
        monkeypatch.setattr(doctor, name, folder)
    for kernel in kernels:
        (tmp_path / "boot" / f"vmlinuz-{kernel}").touch()
    for version in modules:
        (tmp_path / "modules" / version).mkdir()
    # Root reads everything, whatever the mode.
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    (finding,) = doctor.check_kernel(settings)
    assert finding.is_gap
    assert re.search(detail, finding.detail)
    assert re.search(remedy, finding.remedy or "")


def test_usable_kernel_is_good(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vmlinuz-6.1").touch()
    (tmp_path / "6.1").mkdir()
    monkeypatch.setattr(doctor, "BOOT", tmp_path)
    monkeypatch.setattr(doctor, "MODULES", tmp_path)
    (finding,) = doctor.check_kernel(settings)
    assert finding.ok and finding.detail.endswith("vmlinuz-6.1")


def test_missing_firmware_is_a_gap(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = tmp_path / "CODE.fd"
    present.touch()
    monkeypatch.setattr(doctor, "OVMF", (present, tmp_path / "VARS.fd"))
    (finding,) = doctor.check_firmware(settings)
    assert finding.is_gap and finding.detail == f"{tmp_path}/VARS.fd missing"
    assert "ovmf" in (finding.remedy or "")


def test_space_is_added_up_on_a_shared_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    total = doctor.WORK_SPACE + doctor.CACHE_SPACE + doctor.IMAGES_SPACE
    usage = type("Usage", (), {"free": total - 1})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    findings = list(doctor.check_space(settings))
    assert [finding.is_gap for finding in findings] == [True, True, True]
    assert "GOLDSMITH_WORK" in (findings[0].remedy or "")
    usage.free = total
    assert all(finding.ok for finding in doctor.check_space(settings))


def test_folder_of_another_is_a_gap(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert [finding.detail for finding in doctor.check_space(settings) if "is not writable" in finding.detail]


def test_memory_is_the_lower_of_host_and_container(tmp_path: Path) -> None:
    meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemTotal:       9000000 kB\nMemAvailable:    4194304 kB\n")
    assert doctor.available_memory(meminfo, limit) == 4 * 2**30
    limit.write_text("max\n")
    assert doctor.available_memory(meminfo, limit) == 4 * 2**30
    limit.write_text(f"{2**30}\n")
    assert doctor.available_memory(meminfo, limit) == 2**30


@pytest.mark.parametrize(
    ("free", "ok", "gap"), [(2**30, False, True), (2 * 2**30, False, False), (4 * 2**30, True, False)]
)
def test_memory_for_none_one_and_two_guests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, free: int, ok: bool, gap: bool
) -> None:
    monkeypatch.setattr(doctor, "available_memory", lambda: free)
    (finding,) = doctor.check_memory(settings)
    assert (finding.ok, finding.is_gap) == (ok, gap)


def test_namespaces_and_tap_are_really_made(settings: Settings) -> None:
    findings = list(doctor.check_user_namespaces(settings))
    assert [(finding.name, finding.ok) for finding in findings] == [
        ("user namespaces", True),
        ("virtual networks", True),
    ]


def _shadow(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_refused_namespaces_are_a_gap(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _shadow(tmp_path, "unshare", "echo 'unshare: Operation not permitted' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (user,) = doctor.check_user_namespaces(settings)
    assert user.is_gap and user.needed_for == (VERIFY,) and "sysctl" in (user.remedy or "")


def test_refused_root_is_a_gap(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _shadow(tmp_path, "unshare", "echo 'unshare: Operation not permitted' >&2; exit 1")
    _shadow(tmp_path, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (root,) = doctor.check_root_namespaces(settings)
    assert root.is_gap and root.needed_for == (BUILD,)
    assert re.search("not permitted|password", root.detail)


def test_missing_tun_is_a_gap_of_the_networks_alone(settings: Settings, tmp_path: Path) -> None:
    _shadow(
        tmp_path,
        "ip",
        '[ "$2" = add ] && [ "$1" = tuntap ] && { echo "open: No such file or directory" >&2; exit 1; }; exit 0',
    )
    path = f"{tmp_path}:{settings.base_environment['PATH']}"
    shadowed = dataclasses.replace(settings, base_environment={**settings.base_environment, "PATH": path})
    user, tun = doctor.check_user_namespaces(shadowed)
    assert user.ok
    assert tun.is_gap and tun.detail == "open: No such file or directory" and "/dev/net/tun" in (tun.remedy or "")


def _fake_proc(folder: Path, processes: dict[int, tuple[int, list[str]]]) -> Path:
    for pid, (parent, words) in processes.items():
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / str(pid) / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")
    return folder


BUILD_PROCESSES = {
    1: (0, ["/sbin/init"]),
    20: (1, ["sudo", "--non-interactive", "unshare", "--mount"]),
    21: (20, ["unshare", "--mount"]),
    22: (21, ["/usr/bin/python3", "-I", jail_agent.__file__]),
    23: (22, ["disk-image-create", "-o", "/w/build-1/tree"]),
    24: (23, ["sh", "-c", "mmdebstrap"]),
    25: (24, ["tar", "--directory=/w/build-1/root"]),
    30: (1, ["vi", "/etc/fstab"]),
}


def test_processes_of_a_dead_build_are_orphans(tmp_path: Path) -> None:
    found = doctor.orphans(("/w/",), _fake_proc(tmp_path, BUILD_PROCESSES))
    assert found == [(23, "disk-image-create -o /w/build-1/tree")]


@pytest.mark.parametrize("owner", [["python3", "some-script.py"], ["/x/.venv/bin/goldsmith", "run"]])
def test_processes_of_a_running_build_are_not(tmp_path: Path, owner: list[str]) -> None:
    # Even where its owner's own parent is gone, as with nohup.
    alive = {**BUILD_PROCESSES, 10: (1, owner), 20: (10, BUILD_PROCESSES[20][1])}
    assert doctor.orphans(("/w/",), _fake_proc(tmp_path, alive)) == []


def test_process_that_a_service_manager_adopted_is_an_orphan(tmp_path: Path) -> None:
    processes = {
        1: (0, ["/sbin/init"]),
        5: (1, ["/usr/lib/systemd/systemd", "--user"]),
        6: (5, ["qemu-img", "/w/disk"]),
    }
    assert doctor.orphans(("/w/",), _fake_proc(tmp_path, processes)) == [(6, "qemu-img /w/disk")]


def test_own_child_is_no_orphan_in_the_real_proc(tmp_path: Path) -> None:
    file = tmp_path / "disk.raw"
    file.touch()
    child = subprocess.Popen(["tail", "-f", str(file)], stdout=subprocess.DEVNULL)
    try:
        assert doctor.orphans((f"{tmp_path}/",)) == []
    finally:
        child.kill()
        child.wait()


def test_orphans_are_advice(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "orphans", lambda prefixes: [(7, "qemu-img convert")])
    (finding,) = doctor.check_leftovers(settings)
    assert not finding.ok and not finding.is_gap
    assert finding.detail == "process 7: qemu-img convert" and finding.remedy == "sudo kill 7"


def test_nothing_left_is_said(settings: Settings) -> None:
    (finding,) = doctor.check_leftovers(settings)
    assert finding.ok


class _Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "ok"), [(200, True), (404, True), (403, False), (503, False)])
def test_mirror_is_asked(settings: Settings, mirror: str, status: int, ok: bool) -> None:
    (finding,) = doctor.check_network(dataclasses.replace(settings, mirror=f"{mirror}/{status}/"))
    assert finding.ok is ok, finding
    assert f"{mirror}/{status}/dists/ answers" in finding.detail
    assert bool(finding.remedy) is not ok


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://mirror.invalid/debian", "nonsense"])
def test_silent_mirror_is_a_gap(settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (finding,) = doctor.check_network(dataclasses.replace(settings, mirror=url))
    assert finding.is_gap and "GOLDSMITH_MIRROR" in (finding.remedy or "")


def test_host_sources_are_asked_as_the_bake_reads_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = (
        Source("http://mirror.example/debian/", "trixie", ("main",)),
        Source("cdrom:[Debian]/", "trixie", ("main",)),
    )
    monkeypatch.setattr(doctor, "read_sources", lambda: sources)
    assert doctor.package_sources(settings) == ["http://mirror.example/debian/dists/trixie/InRelease"]
    security = dataclasses.replace(settings, mirror="http://m.example/d", security_mirror="http://s.example/d/")
    assert doctor.package_sources(security) == ["http://m.example/d/dists/", "http://s.example/d/dists/"]


def test_host_without_sources_is_a_gap(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "package_sources", lambda settings: [])
    (finding,) = doctor.check_network(settings)
    assert finding.is_gap


def test_a_check_that_breaks_is_a_gap_and_the_rest_goes_on(settings: Settings) -> None:
    def host(settings: Settings) -> Iterator[Finding]:
        yield Finding("seen before", True, "d")
        raise HostError("no QEMU", hint="install it")

    def harness(settings: Settings) -> list[Finding]:
        raise HarnessError("broke")

    def system(settings: Settings) -> list[Finding]:
        raise PermissionError(13, "Permission denied", "/proc/x")

    def good(settings: Settings) -> list[Finding]:
        return [Finding("good", True, "d")]

    findings = doctor.examine(settings, (("host", host), ("harness", harness), ("system", system), ("good", good)))
    shown = [(finding.name, finding.is_gap, finding.detail) for finding in findings]
    assert ("host", True, "no QEMU") in shown
    assert ("harness", True, "broke") in shown
    assert ("good", False, "d") in shown
    assert next(f for f in findings if f.name == "host").remedy == "install it"
    assert "Permission denied" in next(f for f in findings if f.name == "system").detail


def test_missing_qemu_is_told_by_accelerator_and_tools(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = doctor.examine(settings, (("accelerator", doctor.check_accelerator),))
    assert finding.is_gap and "qemu-system-x86_64 is not installed" in finding.detail
