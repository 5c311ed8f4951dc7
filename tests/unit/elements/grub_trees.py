"""Roots as distributions have them as far as GRUB goes, with programs that do what the real ones do to their files.

Sources: Debian's and Red Hat's grub-mkconfig (the latter with 10_linux's update_bls_cmdline and 20-grub.install),
grubby's grubby-bls, the /etc/default/grub of each distribution's cloud image.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from elements_help import Image

#: what any grub-mkconfig starts and ends with; BODY and SETTINGS are the distribution's
_MKCONFIG = """\
#!/bin/bash
case "$*" in *--help*) echo "@HELP@"; exit ;; esac
while [ "$1" != -o ]; do shift; done
target=$2
@SETTINGS@
[ -z "$GRUB_TERMINAL" ] || GRUB_TERMINAL_INPUT=$GRUB_TERMINAL GRUB_TERMINAL_OUTPUT=$GRUB_TERMINAL
arguments="root=UUID=1 ro $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
{
    echo "### BEGIN /etc/grub.d/00_header ###"
    echo "$GRUB_SERIAL_COMMAND"
    echo "terminal_input $GRUB_TERMINAL_INPUT"
    echo "terminal_output $GRUB_TERMINAL_OUTPUT"
    echo "set timeout=$GRUB_TIMEOUT os_prober=$GRUB_DISABLE_OS_PROBER"
    @BODY@
} > "$target"
"""
_SOURCE_ONE = "[ ! -e /etc/default/grub ] || . /etc/default/grub"
_SOURCE_ALL = f'{_SOURCE_ONE}\nfor x in /etc/default/grub.d/*.cfg ; do [ ! -e "$x" ] || . "$x"; done'
_ENTRY = 'echo "	{} /boot/vmlinuz $arguments"'
_EL8 = """\
echo "blscfg"
    grub2-editenv - set "kernelopts=$arguments"
"""
# Since 9.3 the entries are left alone where there is /etc/kernel/cmdline.
_EL9 = """\
echo "blscfg"
    [ -e /etc/kernel/cmdline ] || sed -i "s|^options.*|options $arguments|" /boot/loader/entries/*.conf
"""
_EDITENV = """\
#!/bin/bash
file=/boot/grub2/grubenv
[ "$2" = list ] && exec cat $file
grep -v "^${3%%=*}=" $file > $file.new
echo "$3" >> $file.new
mv $file.new $file
"""
# grubby removes every word of the name that it is given, then adds; $kernelopts stands for grubenv's.
_GRUBBY = """\
#!/usr/bin/python3 -I
import pathlib, re, sys
options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
if "update-kernel" not in options:
    sys.exit()
assert options["update-kernel"] == "ALL"
added = options["args"].split()
names = {word.split("=")[0] for word in added}
def changed(text):
    return " ".join([word for word in text.split() if word.split("=")[0] not in names] + added)
grub = pathlib.Path("/etc/default/grub")
grub.write_text(re.sub('^GRUB_CMDLINE_LINUX="(.+)"$', lambda m: f'GRUB_CMDLINE_LINUX="{changed(m[1])}"',
                       grub.read_text(), flags=re.M))
env = pathlib.Path("/boot/grub2/grubenv")
env.write_text(re.sub("^kernelopts=(.+)$", lambda m: f"kernelopts={changed(m[1])}", env.read_text(), flags=re.M))
entries = sorted(pathlib.Path("/boot/loader/entries").glob("*.conf"))
for entry in entries:
    text = entry.read_text()
    if "$kernelopts" not in text:
        entry.write_text(re.sub("^options (.*)$", lambda m: f"options {changed(m[1])}", text, flags=re.M))
cmdline = pathlib.Path("/etc/kernel/cmdline")
if cmdline.parent.is_dir() and "$kernelopts" not in entries[0].read_text():
    old = cmdline.read_text() if cmdline.exists() else re.search("^options (.*)$", entries[0].read_text(), re.M)[1]
    cmdline.write_text(changed(old) + "\\n")
"""
STUB = "search --fs-uuid --set=root 1\nset prefix=($root)/boot/grub2\nconfigfile $prefix/grub.cfg\n"


class GrubTree(Image):
    """``family`` is debian, ubuntu, el7, el8 or el9."""

    def __init__(self, root: Path, family: str) -> None:
        super().__init__(root)
        self.family = family
        for path in (self.root / "usr/sbin").glob("*grub*"):
            path.unlink()
        # The link in /usr/bin leads through Debian's /etc/alternatives.
        (self.root / "usr/sbin/awk").symlink_to(f"/host{Path(shutil.which('awk') or '').resolve()}")
        self.unit("getty@.service")
        self.unit("serial-getty@.service")
        getattr(self, f"_{family}")()

    def executable(self, name: str, text: str) -> None:
        self.write(f"usr/sbin/{name}", text, 0o755)

    def _mkconfig(self, name: str, settings: str, body: str, text: str = "") -> None:
        filled = _MKCONFIG.replace("@SETTINGS@", settings).replace("@BODY@", body).replace("@HELP@", text)
        self.executable(name, filled)

    def _debian(self) -> None:
        self.write(
            "etc/default/grub",
            'GRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=`echo Debian`\nGRUB_CMDLINE_LINUX_DEFAULT=""\n'
            'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 earlyprintk=ttyS0,115200 consoleblank=0"\n'
            'GRUB_TERMINAL_OUTPUT="gfxterm serial"\nGRUB_SERIAL_COMMAND="serial --speed=115200"\n',
        )
        self._mkconfig("grub-mkconfig", _SOURCE_ALL, _ENTRY.format("linux"))

    def _ubuntu(self) -> None:
        self.write(
            "etc/default/grub", 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=""\n'
        )
        self.write(
            "etc/default/grub.d/50-cloudimg-settings.cfg",
            'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\nGRUB_TERMINAL=console\n',
        )
        self._mkconfig("grub-mkconfig", _SOURCE_ALL, _ENTRY.format("linux"))

    def _red_hat(self, more: str = "") -> None:
        self.write(
            "etc/default/grub",
            "GRUB_TIMEOUT=5\nGRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n"
            'GRUB_TERMINAL_OUTPUT="console"\nGRUB_CMDLINE_LINUX="console=tty0 crashkernel=auto rhgb quiet"\n'
            f'GRUB_DISABLE_RECOVERY="true"\n{more}',
        )
        self.write("etc/system-release", "Some Linux release 9\n")

    def _el7(self) -> None:
        self._red_hat()
        # On a BIOS host; the real one writes linuxefi where it finds /sys/firmware/efi.
        self._mkconfig("grub2-mkconfig", _SOURCE_ONE, _ENTRY.format("linux16"))

    def _bls(self, options: str) -> None:
        self._red_hat("GRUB_ENABLE_BLSCFG=true\n")
        self.executable("grubby", _GRUBBY)
        self.executable("grub2-editenv", _EDITENV)
        for version in ("4.18", "5.14"):
            self.write(
                f"boot/loader/entries/1-{version}.conf",
                f"title Linux\nlinux /boot/vmlinuz-{version}\noptions {options}\n",
            )

    def _el8(self) -> None:
        self._bls("$kernelopts $tuned_params")
        self.write("boot/grub2/grubenv", "saved_entry=1\nkernelopts=root=UUID=1 ro console=tty0 crashkernel=auto\n")
        self._mkconfig("grub2-mkconfig", _SOURCE_ONE, _EL8)

    def _el9(self) -> None:
        self._bls("root=UUID=1 ro console=tty0 crashkernel=1G-4G:192M")
        self.write("boot/grub2/grubenv", "saved_entry=1\n")
        self.write("etc/kernel/cmdline", "root=UUID=1 ro console=tty0\n")
        self._mkconfig("grub2-mkconfig", _SOURCE_ONE, _EL9, "--update-bls-cmdline")

    @property
    def config(self) -> str:
        """grub.cfg's path."""
        return "boot/grub2/grub.cfg" if self.family.startswith("el") else "boot/grub/grub.cfg"

    def generate(self, path: str | None = None) -> None:
        """grub.cfg as the distribution's own installation would have made it."""
        path = path or self.config
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        self.chroot("grub2-mkconfig" if self.family.startswith("el") else "grub-mkconfig", "-o", f"/{path}")

    def started_with(self) -> list[list[str]]:
        """The words that each kernel is started with."""
        text = self.read(self.config)
        if "blscfg" not in text:
            return [line.split()[2:] for line in text.splitlines() if line.startswith("\t")]
        env = dict(line.split("=", 1) for line in self.read("boot/grub2/grubenv").splitlines())
        entries = sorted((self.root / "boot/loader/entries").iterdir())
        options = [entry.read_text().split("options ")[1].replace("$tuned_params", "") for entry in entries]
        return [each.replace("$kernelopts", env.get("kernelopts", "")).split() for each in options]
