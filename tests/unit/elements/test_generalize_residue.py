"""generalize removes what the rules of residue find in images that goldsmith builds, and keeps what is not its own."""

from __future__ import annotations

from pathlib import Path

from elements_help import Image

from goldsmith.verify.residue.rules import selected
from goldsmith.verify.residue.search import search
from goldsmith.verify.tree import FolderTree

#: each is found by a rule, and goes
RESIDUE = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/ssh/ssh_host_ed25519_key": "key\n",
    "etc/hostname": "build-host\n",
    "etc/mailname": "build-host.example\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 build-host\n",
    "var/lib/systemd/random-seed": "seed",
    "var/lib/systemd/credential.secret": "secret",
    "boot/efi/loader/random-seed": "seed",
    "var/lib/dhcp/dhclient.leases": "lease {}\n",
    "var/lib/dhclient/dhclient.leases": "lease {}\n",
    "var/lib/dhcpcd/duid": "00:01\n",
    "var/lib/dhcpcd/ens3.lease": "lease\n",
    "var/lib/NetworkManager/secret_key": "secret",
    "var/lib/NetworkManager/internal-x-ens3.lease": "lease\n",
    "var/lib/NetworkManager/timestamps": "[timestamps]\n",
    "etc/nvme/hostid": "0da4ed0a-2b3a-4a3f-9a3e-6f3a8b7c9d10\n",
    "etc/lvm/devices/system.devices": "IDTYPE=sys_serial\n",
    "etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", ATTR{address}=="52:54:00:12:34:56"\n',
    "var/lib/cloud/instances/i-1/user-data.txt": "#cloud-config\n",
    "root/.bash_history": "ls\n",
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
    "root/anaconda-ks.cfg": "rootpw x\n",
    "home/builder/.python_history": "1\n",
    "home/builder/.cache/pip/x": "x\n",
    "home/builder/.lesshst": "x\n",
    "var/log/dpkg.log": "installed\n",
    "var/log/journal/0123/system.journal": "journal\n",
    "var/log/wtmp": "login\n",
    "var/mail/root": "From root\n",
    "var/crash/x": "x\n",
    "var/backups/dpkg.status.0": "x\n",
    "var/cache/apt/pkgcache.bin": "x\n",
    "var/lib/apt/lists/mirror.example_dists_trixie_InRelease": "x\n",
    "var/lib/systemd/timers/stamp-apt-daily.timer": "",
    "var/cache/debconf/config.dat-old": "x\n",
    "var/lib/dpkg/status-old": "x\n",
    "etc/passwd-": "x\n",
    "etc/apt/apt.conf.d/01proxy": 'Acquire::http::Proxy "http://cache.example:3142";\n',
}

#: nobody asked for these to go
KEPT = {
    "etc/passwd": "root:x:0:0::/root:/bin/bash\n",
    "home/builder/.profile": "umask 022\n",
    "home/builder/.ssh/authorized_keys": "ssh-ed25519 AAAA\n",
    "etc/apt/apt.conf.d/70debconf": "x\n",
    "var/cache/debconf/config.dat": "x\n",
}


def test_what_it_removes_is_what_the_rules_find(tmp_path: Path) -> None:
    image = Image(tmp_path / "image")
    for path, text in {**RESIDUE, **KEPT}.items():
        image.write(path, text)
    # A user's own key is not generalize's to remove; in /tmp lie the files of this test's phase.
    rules = selected(ignore=["authorized-keys", "temporary-files"])
    before = {residue.path for residue in search(FolderTree(image.root), rules)}
    missed = [path for path in RESIDUE if not any(f"/{path}".startswith(found) for found in before)]
    assert missed == ["root/.ssh/authorized_keys"], "the rules do not know it"
    image.phase("generalize", "finalise.d", True)
    assert [str(residue) for residue in search(FolderTree(image.root), rules)] == []
    assert not (image.root / "root/.ssh").exists()
    assert (image.root / "etc/machine-id").read_bytes() == b""
    assert (image.root / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert (image.root / "var/log/dpkg.log").read_bytes() == b""
    for path, text in KEPT.items():
        assert (image.root / path).read_text() == text


def test_an_image_without_any_of_it_stays(tmp_path: Path) -> None:
    image = Image(tmp_path / "image")
    for folder in ("var/log", "root"):
        (image.root / folder).mkdir(parents=True, exist_ok=True)
    image.phase("generalize", "finalise.d", True)
    assert not (image.root / "etc/machine-id").exists()
    assert not (image.root / "etc/hosts").exists()
