"""A real Keystone and a real Glance on loopback: sqlite, a file store, both ways of uploading, secure RBAC.

Their programs come from .venv-services (setup/prepare test).  Each is served by gunicorn in a session of its own, so
that it can be killed with its workers by the number of that group, and started again on the same data.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import textwrap
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import openstack
import pytest
import yaml
from fault_proxy import Proxy, proxy
from openstack.connection import Connection

from goldsmith.host.deadline import Deadline
from goldsmith.publish.glance.service import Glance, connect
from goldsmith.settings import PROJECT_ROOT

SERVICES = PROJECT_ROOT / ".venv-services"
BIN = SERVICES / "bin"
#: a word that no other text holds, so that a leak of it is seen
PASSWORD = "loopback-secret-7b1f"
#: user and cloud of clouds.yaml: its project and its role there
USERS = {
    "admin": ("images", "admin"),
    "member": ("images", "member"),
    "reader": ("images", "reader"),
    "other": ("other", "member"),
}

_KEYSTONE = """\
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db?timeout=30
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[token]
provider = fernet
"""
_GLANCE = """\
[DEFAULT]
log_file = {folder}/glance.log
enabled_backends = file:file
enabled_import_methods = [glance-direct,web-download]
worker_self_reference_url = http://127.0.0.1:{glance}
node_staging_uri = file://{folder}/staging
{more}
[glance_store]
default_backend = file
[file]
filesystem_store_datadir = {folder}/store
[os_glance_staging_store]
filesystem_store_datadir = {folder}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {folder}/tasks
[database]
connection = sqlite:///{folder}/glance.db?timeout=30
[paste_deploy]
flavor = keystone
config_file = {services}/etc/glance/glance-api-paste.ini
[oslo_policy]
policy_file = {folder}/policy.yaml
enforce_new_defaults = true
[keystone_authtoken]
www_authenticate_uri = http://127.0.0.1:{keystone}/v3
auth_url = http://127.0.0.1:{keystone}/v3
auth_type = password
username = glance
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
service_token_roles_required = true
token_cache_time = 1
"""
#: sqlite refuses at once, whatever its timeout, a transaction that read first and then finds another writing; beginning
#: as a writer it waits.  What a cloud's real database does by itself.
_ONE_WRITER = """
from sqlalchemy import event
from sqlalchemy.engine import Engine


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _wait(connection, cursor, statement, parameters, context, executemany):
    return "BEGIN IMMEDIATE" if statement.startswith("BEGIN") else statement, parameters
"""
#: whoever publishes images is a member here, not an administrator
_POLICY = 'publicize_image: "role:admin or role:member"\n'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """A WSGI application under gunicorn, in a folder of its own; ``environment`` says where its configuration is."""

    application: str
    port: int
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder / "out.log"

    def start(self) -> None:
        """Returns when it answers.  Raises DeadlineError, or AssertionError with its log where it ended."""
        # Not by arguments: oslo.config would read them as the service's own, and refuse them.
        settings = {"wsgi_app": self.application, "bind": f"127.0.0.1:{self.port}", "workers": 1, "threads": 16}
        settings |= {"timeout": 0, "graceful_timeout": 5}
        lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
        (self.folder / "gunicorn.conf.py").write_text("".join([*lines, _ONE_WRITER]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                # Whatever ends the tests ends it.
                ["setpriv", "--pdeathsig", "TERM", BIN / "gunicorn"],
                cwd=self.folder,
                env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(self.folder), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        Deadline.after(60).wait_for(self._answers, f"{self.application} on loopback, see {self.log}")

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it and its workers; SIGKILL is the power cut."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(15)
        self.process = None


@dataclass
class Cloud:
    """``clouds_yaml`` has an entry for each of USERS, all of one region, ``RegionOne``."""

    folder: Path
    keystone: Service
    glance: Service
    _connections: list[Connection] = field(default_factory=list)

    @property
    def clouds_yaml(self) -> Path:
        return self.folder / "clouds.yaml"

    @property
    def image_url(self) -> str:
        return f"http://127.0.0.1:{self.glance.port}"

    def entry(self, user: str, **more: object) -> dict[str, object]:
        """An entry of clouds.yaml; ``more`` goes over it."""
        project = "admin" if user == "root" else USERS[user][0]
        auth = {
            "auth_url": f"http://127.0.0.1:{self.keystone.port}/v3",
            "username": user,
            "password": PASSWORD,
            "project_name": project,
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        return {"auth": auth, "region_name": "RegionOne", "identity_api_version": "3", **more}

    def write_clouds(self, target: Path | None = None, **clouds: dict[str, object]) -> Path:
        """A clouds.yaml with USERS and ``clouds``."""
        path = target or self.clouds_yaml
        path.write_text(yaml.safe_dump({"clouds": {**{user: self.entry(user) for user in USERS}, **clouds}}))
        return path

    def connect(self, user: str) -> Connection:
        """By plain openstacksdk."""
        made = openstack.connect(**self.entry(user), load_yaml_config=False, load_envvars=False)
        self._connections.append(made)
        return made

    def configure_glance(self, more: str = "") -> None:
        """Write its configuration; ``more`` goes into [DEFAULT].  It is read when Glance starts."""
        text = _GLANCE.format(
            folder=self.folder,
            glance=self.glance.port,
            keystone=self.keystone.port,
            services=SERVICES,
            password=PASSWORD,
            more=more,
        )
        (self.folder / "glance/glance-api.conf").write_text(text)

    def restart_glance(self, more: str = "", *, number: int = signal.SIGTERM) -> None:
        """End it by a signal and start it on the same data, with ``more`` in [DEFAULT]."""
        self.glance.stop(number)
        self.configure_glance(more)
        self.glance.start()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.glance.stop()
        self.keystone.stop()


def _run(*words: str | Path) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr[-3000:]}"


def _bootstrap(cloud: Cloud) -> None:
    conf = cloud.folder / "keystone/keystone.conf"
    manage = (BIN / "keystone-manage", "--config-file", conf)
    _run(*manage, "db_sync")
    owner = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    _run(*manage, "fernet_setup", *owner)
    _run(*manage, "credential_setup", *owner)
    url = f"http://127.0.0.1:{cloud.keystone.port}/v3"
    words = ["--bootstrap-password", PASSWORD, "--bootstrap-username", "root", "--bootstrap-region-id", "RegionOne"]
    words += [part for kind in ("public", "internal", "admin") for part in (f"--bootstrap-{kind}-url", url)]
    _run(*manage, "bootstrap", *words)
    _run(BIN / "glance-manage", "--config-file", cloud.folder / "glance/glance-api.conf", "db_sync")


def _populate(cloud: Cloud) -> None:
    root = cloud.connect("root")
    roles = {role.name: role for role in root.identity.roles()}
    projects = {}
    for name in ("service", "images", "other"):
        projects[name] = root.identity.create_project(name=name, domain_id="default")
    for name, (project, role) in {**USERS, "glance": ("service", "service")}.items():
        user = root.identity.create_user(name=name, password=PASSWORD, domain_id="default")
        root.identity.assign_project_role_to_user(projects[project], user, roles[role])
    service = root.identity.create_service(name="glance", type="image")
    for interface in ("public", "internal", "admin"):
        root.identity.create_endpoint(
            service_id=service.id, interface=interface, url=cloud.image_url, region_id="RegionOne"
        )


def start_cloud(folder: Path) -> Cloud:
    """Bootstrapped and running, in an empty folder; whoever asks for it calls ``close``."""
    for name in ("keystone", "glance", "store", "staging", "tasks", "fernet", "credential"):
        (folder / name).mkdir(mode=0o700)
    (folder / "keystone/keystone.conf").write_text(_KEYSTONE.format(folder=folder))
    (folder / "policy.yaml").write_text(textwrap.dedent(_POLICY))
    keystone = Service(
        "keystone.wsgi.api:application",
        free_port(),
        folder / "keystone",
        {"OS_KEYSTONE_CONFIG_DIR": str(folder / "keystone")},
    )
    glance = Service(
        "glance.wsgi.api:application",
        free_port(),
        folder / "glance",
        {"OS_GLANCE_CONFIG_DIR": str(folder / "glance")},
    )
    cloud = Cloud(folder, keystone, glance)
    try:
        cloud.configure_glance()
        _bootstrap(cloud)
        keystone.start()
        _populate(cloud)
        glance.start()
        cloud.write_clouds()
    except BaseException:
        cloud.close()
        raise
    return cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    started = start_cloud(tmp_path_factory.mktemp("cloud"))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def member(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Glance]:
    """A project without images, before and after; OS_CLIENT_CONFIG_FILE is the cloud's."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    glance = connect("member")
    _empty(glance)
    yield glance
    _empty(glance)


def _empty(glance: Glance) -> None:
    for image in glance.images():
        if image["protected"]:
            glance.patch(image["id"], [{"op": "replace", "path": "/protected", "value": False}])
        glance.delete(image["id"])


@pytest.fixture
def between(cloud: Cloud, member: Glance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the cloud `spoiled` and Glance; in clouds.yaml is also `wrong`, with a wrong password."""
    with proxy(cloud.glance.port) as server:
        wrong = cloud.entry("member")
        wrong["auth"] = {**cloud.entry("member")["auth"], "password": "not-this-one"}  # type: ignore[dict-item]
        spoiled = cloud.entry("member", image_endpoint_override=server.url)
        path = cloud.write_clouds(tmp_path / "clouds.yaml", spoiled=spoiled, wrong=wrong)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
        yield server
