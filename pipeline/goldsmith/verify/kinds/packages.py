"""The kind package, by the databases of dpkg and rpm or by their own tools in the guest."""

from __future__ import annotations

import contextlib
import re
import shlex
import sqlite3
import tempfile
from pathlib import Path

from pydantic import Field

from goldsmith.errors import HarnessError
from goldsmith.verify.compare import Finding, Strict, shown
from goldsmith.verify.subjects import LiveGuest
from goldsmith.verify.tree import Tree

_DPKG = "/var/lib/dpkg/status"
#: rpm's macro %_dbpath, as distributions set it
_RPM_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
_RPM_SQLITE = "rpmdb.sqlite"
#: rpm's other backends, which nothing but rpm reads
_RPM_OTHERS = {"Packages": "Berkeley DB", "Packages.db": "ndb"}


class PackageAssertion(Strict):
    """A package of dpkg's or rpm's database."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$")
    installed: bool = True


def package(assertion: PackageAssertion, tree: Tree) -> list[Finding]:
    """As the database on the disk has it; HarnessError where there is none that can be read."""
    if tree.stat(_DPKG) is not None:
        status = _dpkg_status(tree, assertion.name)
        return _finding(assertion, _is_installed(status), status or "unknown to dpkg")
    installed = _is_in_rpm(tree, assertion.name)
    return _finding(assertion, installed, "installed" if installed else "unknown to rpm")


def package_live(assertion: PackageAssertion, guest: LiveGuest) -> list[Finding]:
    """As the guest's own tool has it."""
    name = shlex.quote(assertion.name)
    # Guests of one family may carry the other's tool; the one with a database is theirs.
    text = guest.output(
        f"if [ -s {_DPKG} ]; then echo dpkg; dpkg-query -W -f '${{Status}}\\n' -- {name} || [ $? = 1 ]; "
        f"elif command -v rpm >/dev/null; then echo rpm; rpm -q --qf '%{{NAME}}\\n' -- {name} || [ $? = 1 ]; "
        "else echo none; fi"
    )
    tool, _, said = text.partition("\n")
    lines = said.splitlines()
    if tool == "dpkg":
        return _finding(assertion, any(map(_is_installed, lines)), shown(said) if said else "unknown to dpkg")
    if tool == "rpm":
        # What it does not know, it says in the guest's language; what it knows, it names.
        installed = assertion.name in lines
        return _finding(assertion, installed, shown(said))
    raise HarnessError("the guest has neither dpkg nor rpm", where=f"package {assertion.name}")


def _finding(assertion: PackageAssertion, installed: bool, seen: str) -> list[Finding]:
    if installed == assertion.installed:
        return []
    wanted = "is installed" if assertion.installed else "is not installed"
    return [Finding(f"package {assertion.name} {wanted}", seen)]


def _dpkg_status(tree: Tree, name: str) -> str | None:
    """The Status field of /var/lib/dpkg/status (man 5 deb-control), None where the package is not listed."""
    text = tree.read(_DPKG).decode(errors="replace")
    found = None
    for stanza in re.split(r"\n\n+", text):
        # A package of several architectures has a stanza for each.
        if re.search(rf"^Package: {re.escape(name)}$", stanza, re.MULTILINE):
            status = re.search(r"^Status: (.+)$", stanza, re.MULTILINE)
            if status and not _is_installed(found):
                found = status.group(1).strip()
    return found


def _is_installed(status: str | None) -> bool:
    """The Status field's last word is the state; "hold ok installed" is installed, too."""
    return status is not None and status.split()[-1:] == ["installed"]


def _is_in_rpm(tree: Tree, name: str) -> bool:
    """By the index ``Name`` of rpm's SQLite backend (rpm, lib/backend/sqlite.c)."""
    for folder in _RPM_FOLDERS:
        if tree.stat(f"{folder}/{_RPM_SQLITE}") is not None:
            return _named(tree, folder, name)
    for folder in _RPM_FOLDERS:
        for file, backend in _RPM_OTHERS.items():
            if tree.stat(f"{folder}/{file}") is not None:
                raise HarnessError(
                    f"this database of rpm is {backend}, which is read in the guest only",
                    where=f"{folder}/{file}",
                    hint="give the check layers: [live]",
                )
    raise HarnessError("there is no database of dpkg or rpm to look at", where=_DPKG)


def _named(tree: Tree, folder: str, name: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="goldsmith-rpm-") as beside:
        # What was written last may still stand in the log beside the database.
        for file in (_RPM_SQLITE, f"{_RPM_SQLITE}-wal"):
            if tree.stat(f"{folder}/{file}") is not None:
                Path(beside, file).write_bytes(tree.read(f"{folder}/{file}"))
        try:
            with contextlib.closing(sqlite3.connect(Path(beside, _RPM_SQLITE))) as database:
                # The file is the image's: nothing that its schema carries is run.
                database.execute("PRAGMA trusted_schema = OFF")
                if database.execute("SELECT type FROM sqlite_master WHERE name = 'Name'").fetchall() != [("table",)]:
                    raise HarnessError("has no index of names", where=f"{folder}/{_RPM_SQLITE}")
                return bool(database.execute("SELECT 1 FROM Name WHERE key = ? LIMIT 1", (name,)).fetchall())
        except sqlite3.Error as error:
            raise HarnessError(f"cannot be read: {error}", where=f"{folder}/{_RPM_SQLITE}") from error
