"""A Linux image: packages, static files and the phases of its elements, run by its own programs in the appliance."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from goldsmith.bake.offline import selection
from goldsmith.bake.offline.guest import ARCHITECTURES, Guest
from goldsmith.bake.offline.selection import Selection
from goldsmith.errors import CommandFailedError, GoldsmithError, HarnessError, InputError
from goldsmith.host.apt_sources import Mirrors
from goldsmith.host.files import write_text
from goldsmith.host.progress import Progress
from goldsmith.host.run import tail
from goldsmith.recipe.model import Base
from goldsmith.recipe.plan import Plan
from goldsmith.store.manifest import PackageFact, installed_packages

#: where diskimage-builder mounts its hooks, a name that scripts may know
HOOKS = "/tmp/in_target.d"
#: seconds on the reference host, for packages and scripts, and for SELinux's labels
RUN_SECONDS = 5400.0
LABEL_SECONDS = 1200.0
#: of run.sh: packages are missing, and must not be installed
_MISSING = 10
#: of the log's end that are kept; libguestfs gives at most 4 MiB at once
_LOG_BYTES = 2**20
_SELINUX = "/etc/selinux/config"


@dataclass(frozen=True)
class Customised:
    """What was found in a Linux image, and what is in it now."""

    base: Base
    packages: tuple[PackageFact, ...]


def customise(
    guest: Guest,
    plan: Plan,
    chosen: Selection,
    *,
    mirrors_of: Callable[[str], Mirrors] | None,
    progress: Progress,
    log_file: Path,
) -> Customised:
    """Apply the elements to a mounted image; what they say goes to ``log_file``.

    ``mirrors_of`` says where missing packages of a distribution come from (None: none may be installed; other families
    than Debian's use the image's own repositories).  Raises InputError for missing packages that must not be installed
    and for an image without bash, CommandFailedError where a script fails.
    """
    base = release_of(guest)
    if not guest.exists("/bin/bash"):
        raise InputError("has no bash, which the scripts of elements are written for", where=guest.where)
    guest.call("rm_rf", HOOKS)
    guest.unpack(selection.payload(plan, chosen, base).archive, HOOKS)
    try:
        if mirrors_of is not None:
            _allow_packages(guest, base, mirrors_of(base.distribution))
        with progress.step("offline: packages, static files, phases"):
            _run(guest, log_file, *selection.packages(plan, chosen, base))
        found = Customised(base, installed_packages(guest.read(f"{HOOKS}/installed").decode()))
    finally:
        # An error of the body must not be covered.
        with contextlib.suppress(GoldsmithError):
            _keep_log(guest, log_file)
            guest.call("rm_rf", HOOKS)
    _relabel(guest, progress)
    return found


def release_of(guest: Guest) -> Base:
    """Distribution and release by the image's /etc/os-release, as diskimage-builder names them.

    The release is Debian's codename, or the major version where there is none.  Raises InputError without that file.
    """
    if not guest.exists("/etc/os-release"):
        raise InputError("has no /etc/os-release", where=guest.where)
    fields = {}
    for line in guest.read("/etc/os-release").decode(errors="replace").splitlines():
        name, _, value = line.partition("=")
        fields[name.strip()] = value.strip().strip("\"'")
    release = fields.get("VERSION_CODENAME") or fields.get("VERSION_ID", "").partition(".")[0]
    return Base(
        distribution=fields.get("ID", "linux"), release=release, architecture=ARCHITECTURES[guest.system.architecture]
    )


def _run(guest: Guest, log_file: Path, *words: str) -> None:
    command = shlex.join([f"{HOOKS}/run", *words])
    # The script's own output goes to its log; what is printed is its status.
    status = int(str(guest.call("sh", f"{command} >/dev/null 2>&1; echo $?", seconds=RUN_SECONDS)).strip() or -1)
    if not status:
        return
    said = _keep_log(guest, log_file)
    if status == _MISSING:
        missing = tail(said, 1).removeprefix("missing: ")
        raise InputError(
            f"has not the packages that elements need: {missing}",
            where=guest.where,
            hint="let the recipe fetch them: add network: true to base",
        )
    raise CommandFailedError(
        command, status=f"exited {status} in the image", tail=tail(said), hint=f"the whole log is {log_file}"
    )


def _keep_log(guest: Guest, log_file: Path) -> str:
    path = f"{HOOKS}/log"
    beginning = max(0, int(guest.call("filesize", path)) - _LOG_BYTES)
    text = bytes(guest.call("pread", path, _LOG_BYTES, beginning)).decode(errors="replace")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    write_text(log_file, text)
    return text


def _allow_packages(guest: Guest, base: Base, mirrors: Mirrors) -> None:
    """Packages of Debian's family come from the same mirror as in a build, which leaves no trace in the image."""
    guest.call("touch", f"{HOOKS}/may-install")
    if mirrors.url is None or not guest.exists("/usr/bin/apt-get"):
        return
    lines = [f"deb {mirrors.url} {base.release} main"]
    if mirrors.security_url:
        lines.append(f"deb {mirrors.security_url} {base.release}-security main")
    configuration = "".join(
        f'{name} "{value}";\n'
        for name, value in {
            "Dir::Etc::sourcelist": f"{HOOKS}/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": f"{HOOKS}/lists",
            "Dir::Cache::archives": f"{HOOKS}/archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
        }.items()
    )
    guest.call("write", f"{HOOKS}/sources.list", ("\n".join(lines) + "\n").encode())
    guest.call("write", f"{HOOKS}/apt.conf", configuration.encode())


def _relabel(guest: Guest, progress: Progress) -> None:
    """Files that were written in the appliance have no SELinux label; a guest that enforces would not boot."""
    if not guest.exists(_SELINUX):
        return
    settings = dict(
        line.split("=", 1) for line in guest.read(_SELINUX).decode(errors="replace").splitlines() if "=" in line
    )
    if settings.get("SELINUX", "").strip() not in ("enforcing", "permissive"):
        return
    contexts = f"/etc/selinux/{settings.get('SELINUXTYPE', 'targeted').strip()}/contexts/files/file_contexts"
    with progress.step("offline: SELinux labels"):
        if guest.call("feature_available", ["selinuxrelabel"]) and guest.exists(contexts):
            with contextlib.suppress(HarnessError):
                guest.call("selinux_relabel", contexts, "/", force=True, seconds=LABEL_SECONDS)
                return
        # At its first boot the guest labels all files by itself, and reboots.
        guest.call("touch", "/.autorelabel")
