"""What this host can do: each fact with what needs it, and each gap with its remedy.

Nothing is taken on trust: namespaces are made, a tap device is created, the accelerator was timed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from goldsmith.boot import accelerator
from goldsmith.errors import GoldsmithError
from goldsmith.host import jail_agent
from goldsmith.host.apt_sources import read_sources
from goldsmith.host.jail import root_jail, user_jail
from goldsmith.host.memory import available_memory
from goldsmith.host.run import run
from goldsmith.settings import Settings

BUILD, VERIFY = "build", "verify"

#: bytes free that a build of a usual image takes at its peak: tree, raw disk and qcow2; cached artefacts; the result
WORK_SPACE, CACHE_SPACE, IMAGES_SPACE = 4 * 2**30, 2**30, 2**30
#: bytes of memory available for one guest or one appliance, and for two guests at once
MEMORY_ONE, MEMORY_TWO = 1536 * 2**20, 3072 * 2**20
#: how long a package mirror may take to answer
NETWORK_SECONDS = 15

#: installs what is missing; the list of packages is setup/debian-packages.txt
SETUP = "run setup/prepare, or: sudo apt-get install {}"

_AGENT = Path(jail_agent.__file__)
#: what adopts orphans beside process 1: a user's service manager
_INITS = ("systemd", "init")


@dataclass(frozen=True)
class Finding:
    """One fact about the host.

    ``needed_for`` names the commands that fail while it is not ``ok``; a finding that none needs is advice.
    """

    name: str
    ok: bool
    detail: str
    remedy: str | None = None
    needed_for: tuple[str, ...] = ()

    @property
    def is_gap(self) -> bool:
        return not self.ok and bool(self.needed_for)


@dataclass(frozen=True)
class Tool:
    """A program, the Debian package it comes in (none: the virtual environment), and how to ask its version."""

    program: str
    package: str | None
    needed_for: tuple[str, ...]
    ask: tuple[str, ...] = ("--version",)
    #: what it writes ends up in the image: its version is an input of the build
    shapes_image: bool = False


TOOLS = (
    Tool("qemu-system-x86_64", "qemu-system-x86", (VERIFY,)),
    Tool("qemu-img", "qemu-utils", (BUILD, VERIFY), shapes_image=True),
    Tool("disk-image-create", None, (BUILD,)),
    Tool("debootstrap", "debootstrap", (BUILD,), shapes_image=True),
    # Without it debootstrap does the work: slower, not wrong.
    Tool("mmdebstrap", "mmdebstrap", (), shapes_image=True),
    # DIB's scripts call it on every line, as root too.
    Tool("sudo", "sudo", (BUILD,)),
    Tool("unshare", "util-linux", (BUILD, VERIFY)),
    Tool("mount", "mount", (BUILD,)),
    Tool("zstd", "zstd", (BUILD,)),
    Tool("sfdisk", "fdisk", (BUILD,), shapes_image=True),
    Tool("mke2fs", "e2fsprogs", (BUILD,), ("-V",), shapes_image=True),
    # It has no option for it, and says its version before it complains.
    Tool("mkfs.vfat", "dosfstools", (BUILD,), (), shapes_image=True),
    Tool("mcopy", "mtools", (BUILD,), shapes_image=True),
    Tool("dnsmasq", "dnsmasq-base", (VERIFY,)),
    Tool("ip", "iproute2", (VERIFY,), ("-V",)),
    # For a boot with a config drive.
    Tool("xorrisofs", "xorriso", ()),
)

_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.+~-]*")

OVMF = (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS_4M.fd"))
BOOT = Path("/boot")
MODULES = Path("/lib/modules")


def find_tool(tool: Tool, settings: Settings) -> str | None:
    """Path of the program: beside our interpreter first, where pip puts DIB, then in PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(tool.program, path=f"{beside}:{settings.base_environment['PATH']}")


def _version(path: str, tool: Tool) -> str:
    done = run([path, *tool.ask], deadline=30, check=False)
    match = _VERSION.search(done.stdout + done.stderr)
    return match.group() if match else "unknown"


def image_tools(settings: Settings) -> dict[str, str]:
    """Version of each tool that shapes an image and is there, by program: inputs of a build."""
    found = {tool: path for tool in TOOLS if tool.shapes_image and (path := find_tool(tool, settings))}
    # Side by side: this is asked before all work, and often all the work there is.
    with ThreadPoolExecutor() as pool:
        return dict(zip((tool.program for tool in found), pool.map(_version, found.values(), found), strict=True))


def check_tools(settings: Settings) -> Iterator[Finding]:
    for tool in TOOLS:
        if path := find_tool(tool, settings):
            yield Finding(tool.program, True, f"{_version(path, tool)} ({path})", None, tool.needed_for)
        else:
            remedy = SETUP.format(tool.package) if tool.package else "run setup/prepare"
            yield Finding(tool.program, False, "not installed", remedy, tool.needed_for)


def check_accelerator(settings: Settings) -> Iterator[Finding]:
    chosen = accelerator.choose(settings)
    detail = f"{chosen.name}: {chosen.reason}; deadlines x {chosen.scale:.2g}"
    yield Finding("accelerator", True, detail, None, (VERIFY,))
    yield _libguestfs(chosen)


def _libguestfs(chosen: accelerator.Accelerator) -> Finding:
    name, needed = "libguestfs", (VERIFY,)
    try:
        guestfs = importlib.import_module("guestfs")
    except ImportError as error:
        remedy = "run setup/prepare (the environment must be made by /usr/bin/python3 with --system-site-packages)"
        return Finding(name, False, f"its Python bindings cannot be imported: {error}", remedy, needed)
    wanted = chosen.libguestfs_environment
    handle = guestfs.GuestFS(python_return_dict=True)
    handle.set_backend(wanted["LIBGUESTFS_BACKEND"])
    handle.set_backend_settings(wanted.get("LIBGUESTFS_BACKEND_SETTINGS", "").split())
    version = handle.version()
    number = ".".join(str(version[part]) for part in ("major", "minor", "release"))
    forced = handle.get_backend_settings()
    handle.close()
    # With KVM that opens and never boots, an appliance that is not told so hangs.
    matches = ("force_tcg" in forced) == (chosen.name == "tcg")
    detail = f"{number}, backend {wanted['LIBGUESTFS_BACKEND']}{', ' + ' '.join(forced) if forced else ''}"
    return Finding(name, matches, detail, None if matches else "report this: it is a defect of goldsmith", needed)


def check_hivex(settings: Settings) -> Iterator[Finding]:
    """Only recipes for a Windows need it."""
    found = importlib.util.find_spec("hivex") is not None
    detail = "the registry of a Windows can be written" if found else "the registry of a Windows cannot be written"
    yield Finding("hivex", found, detail, None if found else SETUP.format("python3-hivex"), ())


def check_kernel(settings: Settings) -> Iterator[Finding]:
    """libguestfs boots a kernel of the host, which must be readable and have its modules."""
    name, needed = "appliance kernel", (VERIFY,)
    kernels = sorted(BOOT.glob("vmlinuz-*"))
    usable = [kernel for kernel in kernels if (MODULES / kernel.name.removeprefix("vmlinuz-")).is_dir()]
    readable = [kernel for kernel in usable if os.access(kernel, os.R_OK)]
    if readable:
        yield Finding(name, True, str(readable[-1]), None, needed)
    elif usable:
        remedy = f"sudo dpkg-statoverride --update --add root root 0644 {usable[-1]}"
        yield Finding(name, False, f"{usable[-1]} is not readable for this user", remedy, needed)
    else:
        lack = f"{kernels[-1]} has no {MODULES}" if kernels else f"no {BOOT}/vmlinuz-*"
        yield Finding(name, False, lack, SETUP.format("linux-image-cloud-amd64"), needed)


def check_firmware(settings: Settings) -> Iterator[Finding]:
    missing = [path for path in OVMF if not path.is_file()]
    detail = f"{', '.join(map(str, missing))} missing" if missing else str(OVMF[0])
    yield Finding("UEFI firmware", not missing, detail, SETUP.format("ovmf") if missing else None, (VERIFY,))


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def check_space(settings: Settings) -> Iterator[Finding]:
    """Space is counted once for folders that share a file system."""
    folders = (
        ("work folder", settings.work_dir, WORK_SPACE, "GOLDSMITH_WORK"),
        ("cache folder", settings.cache_dir, CACHE_SPACE, "GOLDSMITH_CACHE"),
        ("images folder", settings.images_dir, IMAGES_SPACE, "GOLDSMITH_IMAGES"),
    )
    shared: dict[int, int] = {}
    for _, path, needed, _ in folders:
        device = _existing(path).stat().st_dev
        shared[device] = shared.get(device, 0) + needed
    for name, path, _, variable in folders:
        place = _existing(path)
        wanted, free = shared[place.stat().st_dev], shutil.disk_usage(place).free
        detail = f"{path}: {free / 2**30:.1f} GiB free, a build takes up to {wanted / 2**30:.0f} GiB"
        if not os.access(place, os.W_OK):
            yield Finding(name, False, f"{place} is not writable", f"set {variable} to a folder of yours", (BUILD,))
        elif free < wanted:
            yield Finding(name, False, detail, f"free some space, or set {variable} to a larger disk", (BUILD,))
        else:
            yield Finding(name, True, detail, None, (BUILD,))


def check_memory(settings: Settings) -> Iterator[Finding]:
    free = available_memory()
    detail = f"{free / 2**30:.1f} GiB available"
    if free < MEMORY_ONE:
        remedy = f"a guest or libguestfs' appliance needs {MEMORY_ONE / 2**30:.1f} GiB: end other programs"
        yield Finding("memory", False, detail, remedy, (VERIFY,))
    elif free < MEMORY_TWO:
        yield Finding("memory", False, f"{detail}: firmwares are booted one after the other", None, ())
    else:
        yield Finding("memory", True, detail, None, (VERIFY,))


def check_user_namespaces(settings: Settings) -> Iterator[Finding]:
    """Make the jail of the lab, and in it what the lab is made of."""
    name, tun = "user namespaces", "virtual networks"
    try:
        with user_jail(settings.base_environment) as jail:
            yield Finding(name, True, "user, network, mount and PID namespaces can be made", None, (VERIFY,))
            try:
                jail.run(["ip", "link", "add", "gold-bridge", "type", "bridge"], deadline=30)
                jail.run(["ip", "tuntap", "add", "gold-tap", "mode", "tap"], deadline=30)
                jail.run(["ip", "link", "set", "gold-tap", "master", "gold-bridge", "up"], deadline=30)
            except GoldsmithError as error:
                remedy = (
                    "sudo modprobe -a tun bridge; sudo chmod 0666 /dev/net/tun (in a container: give it /dev/net/tun)"
                )
                yield Finding(tun, False, _one_line(error), remedy, (VERIFY,))
            else:
                yield Finding(tun, True, "a bridge and a tap device can be made without root", None, (VERIFY,))
    except GoldsmithError as error:
        yield Finding(name, False, _one_line(error), error.hint, (VERIFY,))


def check_root_namespaces(settings: Settings) -> Iterator[Finding]:
    """Make the jail of a build, and mount in it as DIB does."""
    name = "root namespaces"
    try:
        with root_jail(settings.base_environment) as jail:
            jail.run(["mount", "-t", "tmpfs", "goldsmith-doctor", "/mnt"], deadline=30)
        yield Finding(name, True, "root's own mount and PID namespaces can be made", None, (BUILD,))
    except GoldsmithError as error:
        remedy = error.hint or "run as root on a host, or in a container that may mount (CAP_SYS_ADMIN)"
        yield Finding(name, False, _one_line(error), remedy, (BUILD,))


def check_leftovers(settings: Settings) -> Iterator[Finding]:
    """What a killed run may have left: loop devices, mounts and processes that hold files of ours."""
    ours = tuple(f"{folder}/" for folder in (*settings.scratch_dirs, settings.cache_dir))
    found = []
    for backing in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        if (file := backing.read_text().strip()).startswith(ours):
            found.append((f"loop device /dev/{backing.parts[3]} on {file}", f"sudo losetup -d /dev/{backing.parts[3]}"))
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if (point := line.split()[4].replace(r"\040", " ")).startswith(ours):
            found.append((f"mount {point}", f"sudo umount --lazy {point}"))
    for pid, command in orphans(ours):
        found.append((f"process {pid}: {command[:80]}", f"sudo kill {pid}"))
    for detail, remedy in found:
        yield Finding("leftover", False, detail, remedy)
    if not found:
        yield Finding("leftovers", True, "no loop device, mount or process of a killed run")


@dataclass(frozen=True)
class _Process:
    parent: int
    words: tuple[str, ...]


def _processes(proc: Path) -> dict[int, _Process]:
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = re.search(r"^PPid:\s+(\d+)$", (folder / "status").read_text(), re.MULTILINE)
        except OSError:
            continue  # it ended meanwhile
        if parent:
            found[int(folder.name)] = _Process(int(parent.group(1)), tuple(word for word in words if word))
    return found


def orphans(prefixes: tuple[str, ...], proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Processes that were given a file below ``prefixes`` and whose owner is dead: init has adopted them.

    Those of a running build are not among them: their jail hangs on the process that made it.
    """
    processes = _processes(proc)

    def ours(process: _Process) -> bool:
        return any(word.startswith(prefixes) or f"={prefix}" in word for word in process.words for prefix in prefixes)

    def adopted(pid: int) -> bool:
        while pid > 1 and pid in processes:
            words = processes[pid].words
            wrapper = words[:1] and Path(words[0]).name in ("unshare", "sudo")
            if not (ours(processes[pid]) or wrapper or str(_AGENT) in words):
                # Some shell or container process between init and what is ours: whatever it is, it lives.
                return bool(words) and Path(words[0]).name in _INITS
            pid = processes[pid].parent
        return True

    return [
        (pid, " ".join(process.words))
        for pid, process in sorted(processes.items())
        if ours(process) and pid != os.getpid() and adopted(pid)
    ]


def _one_line(error: GoldsmithError) -> str:
    # A command's own last words say more than that it exited 1.
    tail = getattr(error, "tail", "")
    return (tail.splitlines() or error.message.splitlines() or [type(error).__name__])[-1]


def package_sources(settings: Settings) -> list[str]:
    """URLs of a file of each package mirror that a build may use: the overriding ones, or the host's apt sources."""
    overriding = [f"{url.rstrip('/')}/dists/" for url in (settings.mirror, settings.security_mirror) if url]
    if settings.mirror:
        return overriding
    own = {f"{source.uri.rstrip('/')}/dists/{source.suite}/InRelease" for source in read_sources()}
    return overriding + sorted(url for url in own if url.startswith(("http://", "https://")))


def check_network(settings: Settings) -> Iterator[Finding]:
    """Ask each package mirror for a file; any answer that is neither a refusal nor a fault will do."""
    name, remedy = (
        "package mirror",
        "check the network and http_proxy, or set GOLDSMITH_MIRROR to a mirror that answers",
    )
    urls = package_sources(settings)
    if not urls:
        yield Finding(name, False, "apt has no sources", "fill /etc/apt/sources.list.d", (BUILD,))
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=NETWORK_SECONDS) as answer:
                yield Finding(name, True, f"{url} answers ({answer.status})", None, (BUILD,))
        except urllib.error.HTTPError as error:
            ok = error.code in (404, 405)
            yield Finding(name, ok, f"{url} answers {error.code} {error.reason}", None if ok else remedy, (BUILD,))
        except (OSError, ValueError) as error:
            yield Finding(name, False, f"{url}: {getattr(error, 'reason', error)}", remedy, (BUILD,))


Check = Callable[[Settings], Iterable[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("accelerator", check_accelerator),
    ("hivex", check_hivex),
    ("appliance kernel", check_kernel),
    ("UEFI firmware", check_firmware),
    ("memory", check_memory),
    ("disk space", check_space),
    ("user namespaces", check_user_namespaces),
    ("root namespaces", check_root_namespaces),
    ("tools", check_tools),
    ("leftovers", check_leftovers),
)

NETWORK_CHECKS: tuple[tuple[str, Check], ...] = (("package mirror", check_network),)


def examine(settings: Settings, checks: Iterable[tuple[str, Check]] = CHECKS) -> list[Finding]:
    """All findings.  A check that cannot be made is a gap of its own and does not stop the others."""
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check(settings)
        except GoldsmithError as error:
            findings.append(Finding(name, False, _one_line(error), error.hint, (BUILD, VERIFY)))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            findings.append(Finding(name, False, f"could not be checked: {error}", None, (BUILD, VERIFY)))
    return findings
