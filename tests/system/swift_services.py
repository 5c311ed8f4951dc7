"""A real Swift on loopback under the cloud of cloud_services.py: one device, one replica, Keystone's tokens.

Its programs come from .venv-services too.  Objects lie in a folder of the test, whose file system must keep extended
attributes of users; Glance stores into it as one tenant, or as each.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack
from cloud_services import BIN, PASSWORD, Cloud, free_port
from openstack.connection import Connection

from goldsmith.host.deadline import Deadline

SUFFIX = "of-these-tests"
KINDS = ("account", "container", "object")
_SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
workers = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats authtoken keystoneauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member, service
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = http://127.0.0.1:{keystone}/v3
auth_url = http://127.0.0.1:{keystone}/v3
auth_type = password
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
delay_auth_decision = true
service_token_roles_required = true
"""
_GLANCE = """\
[swift]
swift_store_auth_address = http://127.0.0.1:{keystone}/v3
swift_store_auth_version = 3
swift_store_user = service:glance
swift_store_key = {password}
swift_store_create_container_on_put = true
swift_store_container = glance
swift_store_multi_tenant = {tenants}
"""
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for kind, port in zip(("account", "container", "object"), sys.argv[2:]):
    builder = RingBuilder(2, 1, 1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{kind}.ring.gz")
"""


@dataclass
class Swift:
    """``port`` is the proxy's; ``devices`` is what a storage node has under /srv/node."""

    cloud: Cloud
    folder: Path
    port: int = field(default_factory=free_port)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _connections: list[Connection] = field(default_factory=list)

    @property
    def devices(self) -> Path:
        return self.folder / "devices"

    @property
    def conf(self) -> Path:
        return self.folder / "swift.conf"

    def start(self) -> None:
        """Returns when the proxy answers.  Raises AssertionError with a log where a server ended."""
        (self.devices / "d1").mkdir(parents=True)
        _require_xattrs(self.devices)
        self.conf.write_text(
            f"[swift-hash]\nswift_hash_path_suffix = {SUFFIX}\n[storage-policy:0]\nname = gold\ndefault = yes\n"
        )
        ports = {kind: free_port() for kind in KINDS}
        made = subprocess.run(
            [BIN / "python", "-c", _RINGS, self.folder, *map(str, ports.values())], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr
        facts = {"folder": self.folder, "user": pwd.getpwuid(os.getuid()).pw_name, "password": PASSWORD}
        facts["keystone"] = self.cloud.keystone.port
        for kind, port in ports.items():
            self._run(f"swift-{kind}-server", _SERVER.format(kind=kind, port=port, **facts), port)
        self._run("swift-proxy-server", _PROXY.format(port=self.port, **facts), self.port)
        root = self.cloud.connect("root")
        service = root.identity.create_service(name="swift", type="object-store")
        url = f"http://127.0.0.1:{self.port}/v1/AUTH_$(project_id)s"
        for interface in ("public", "internal", "admin"):
            root.identity.create_endpoint(service_id=service.id, interface=interface, url=url, region_id="RegionOne")
        # Glance's own user, who alone sees what a single-tenant store keeps.
        self.cloud.write_clouds(store=self._store_entry())

    def _store_entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = dict(self.cloud.entry("member"))
        return {**entry, "auth": {**entry["auth"], "username": "glance", "project_name": "service"}}

    def _run(self, program: str, conf: str, port: int) -> None:
        path, log = self.folder / f"{program}.conf", self.folder / f"{program}.log"
        path.write_text(conf)
        with log.open("wb") as out:
            process = subprocess.Popen(
                # Whatever ends the tests ends it.
                ["setpriv", "--pdeathsig", "TERM", BIN / program, path, "--verbose"],
                env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._running.append(process)

        def answers() -> bool:
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5):
                    return True
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False

        Deadline.after(60).wait_for(answers, f"{program} on loopback, see {log}")

    def glance_stores_here(self, *, tenants: bool = False, more: str = "") -> None:
        """Glance stores in this Swift from now on; ``more`` goes into its [DEFAULT]."""
        glance = self.cloud.glance
        glance.stop()
        self.cloud.configure_glance(more)
        conf = self.cloud.folder / "glance/glance-api.conf"
        text = conf.read_text().replace("enabled_backends = file:file", "enabled_backends = swift:swift")
        text = text.replace("default_backend = file", "default_backend = swift")
        own = _GLANCE.format(keystone=self.cloud.keystone.port, password=PASSWORD, tenants=tenants)
        conf.write_text(text + own)
        glance.start()

    def objects(self) -> Any:
        """Glance's own account, by plain openstacksdk: ``put`` and ``delete`` of /container/object."""
        made = openstack.connect(**self._store_entry(), load_yaml_config=False, load_envvars=False)
        self._connections.append(made)
        return made.object_store

    def object_file(self, account: str, container: str, name: str) -> Path:
        """Its .data file, found by Swift's own program."""
        digest = hashlib.md5(f"/{account}/{container}/{name}{SUFFIX}".encode(), usedforsecurity=False).hexdigest()
        return next(self.devices.glob(f"d1/objects/*/*/{digest}/*.data"))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(15)


def _require_xattrs(folder: Path) -> None:
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError as error:
        raise AssertionError(f"{folder} keeps no user xattrs ({error}): set --basetemp to a folder on ext4") from error
    finally:
        probe.unlink()
