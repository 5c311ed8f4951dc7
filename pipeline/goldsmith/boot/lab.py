"""The networks around a guest, shaped as Neutron shapes them, without root and without a trace on the host.

In a jail with its own network: a bridge per network that holds the addresses of its gateway and of its DHCP port, a
dnsmasq with the options Neutron gives it, an IPv6 router's advertisements where the network has such a subnet, and one
metadata service that every DHCP port leads to, as Neutron's dhcp-agent does with force_metadata
(neutron/agent/linux/dhcp.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from goldsmith.boot import metadata, relay
from goldsmith.boot.dnsmasq import dnsmasq_configuration, names_configuration, router_configuration
from goldsmith.boot.hardware import Port
from goldsmith.boot.instance import Instance, Network
from goldsmith.errors import CommandFailedError, HarnessError, HostError, InputError
from goldsmith.host import files
from goldsmith.host.deadline import Deadline
from goldsmith.host.jail import PYTHON, Jail, user_jail
from goldsmith.host.run import tail
from goldsmith.settings import Settings

log = logging.getLogger(__name__)

TUN = Path("/dev/net/tun")
_TUN_HINT = "load the module (modprobe tun); in a container, pass the device /dev/net/tun in; it must be writable"
_METADATA = Path(metadata.__file__)
_RELAY = Path(relay.__file__)
#: seconds for a command of ip's and for a server to be there
_STEP = 30.0


@dataclass(frozen=True)
class MetadataCount:
    """What the metadata service was asked so far."""

    requests: int
    connections: int
    by_path: dict[str, int]
    #: TCP connections by the client's address
    by_peer: dict[str, int]


def read_metadata_log(text: str) -> MetadataCount:
    """Count a log of ``goldsmith.boot.metadata``; a line that is not yet whole is left for later."""
    lines = text.split("\n")[:-1]
    events = [json.loads(line) for line in lines]
    requests = [event for event in events if event["event"] == "request"]
    connections = [event for event in events if event["event"] == "connection"]
    return MetadataCount(
        len(requests),
        len(connections),
        dict(Counter(event["path"] for event in requests)),
        dict(Counter(event["peer"] for event in connections)),
    )


class Lab:
    """Use it as a context manager; everything in it ends with it, however the caller ends.

    ``instance`` is the guest: its NICs get their fixed addresses, and the metadata service answers for it.  ``folder``
    keeps the logs; without one they go with the lab.  Raises HostError, with a remedy, where user namespaces,
    /dev/net/tun, ip or dnsmasq cannot be used.
    """

    def __init__(
        self, settings: Settings, networks: Sequence[Network], instance: Instance, *, folder: Path | None = None
    ) -> None:
        names = [network.name for network in networks]
        if len(set(names)) != len(names):
            raise InputError(f"two networks of one name: {', '.join(names)}")
        for nic in instance.nics:
            if nic.network not in networks:
                raise InputError(f"NIC {nic.mac} is on network {nic.network.name}, which the lab does not have")
        self._settings = settings
        self._networks = tuple(networks)
        self._instance = instance
        #: as the DHCP servers know them now; what identifies a network stays in _networks
        self._served = list(networks)
        self._nics = list(instance.nics)
        self._stack = contextlib.ExitStack()
        self._taps = 0
        self._jail: Jail | None = None
        self._keep = folder
        self._folder: Path | None = None

    @property
    def jail(self) -> Jail:
        """The jail; QEMU runs in it, to reach the taps."""
        if self._jail is None:
            raise HarnessError("the lab is not open")
        return self._jail

    @property
    def folder(self) -> Path:
        """Logs and leases: dhcp-N.log, dhcp-N.leases, router-N.log of network N; names.log, metadata.jsonl."""
        if self._folder is None:
            raise HarnessError("the lab is not open")
        return self._folder

    def __enter__(self) -> Lab:
        with contextlib.ExitStack() as stack:
            self._jail = stack.enter_context(user_jail(self._settings.base_environment))
            if self._keep:
                self._folder = self._keep.absolute()
                self._folder.mkdir(parents=True, exist_ok=True)
            else:
                self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goldsmith-lab-")))
            _require_tun(self.jail)
            self._ip("link", "set", "lo", "up")
            for name, value in (("ip_forward", 0), ("conf/all/arp_ignore", 1)):
                # The host's forwarding is inherited.  Each bridge answers only for its own addresses: in the cloud
                # the networks do not share a kernel.
                self._sh(f"echo {value} >/proc/sys/net/ipv4/{name}")
            for index, network in enumerate(self._networks):
                self._make_bridge(index, network)
            self._start_metadata()
            self._start_dnsmasq("names", names_configuration(self._networks))
            for index, network in enumerate(self._networks):
                self.start_dhcp(network)
                self._start_router(index, network)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._jail = self._folder = None

    def _ip(self, *words: str) -> None:
        self.jail.run(["ip", *words], deadline=_STEP, hint="install iproute2")

    def _sh(self, script: str) -> None:
        self.jail.run(["/bin/sh", "-c", script], deadline=_STEP)

    def _index(self, network: Network) -> int:
        if network not in self._networks:
            raise InputError(f"the lab has no network {network.name}")
        return self._networks.index(network)

    def _make_bridge(self, index: int, network: Network) -> None:
        bridge = f"br{index}"
        # A bridge without an address of its own changes it whenever a port joins.
        address = f"fa:16:3e:ff:{index:02x}:02"
        self._ip("link", "add", bridge, "address", address, "type", "bridge", "mcast_snooping", "0")
        # dnsmasq takes the address whose prefix holds the range; the gateway stands beside it as a single one.
        self._ip("address", "add", f"{network.dhcp_address}/{network.addresses.prefixlen}", "dev", bridge)
        self._ip("address", "add", f"{network.gateway}/32", "dev", bridge)
        self._ip("address", "add", f"{metadata.ADDRESS}/32", "dev", bridge)
        self._ip("link", "set", bridge, "mtu", str(network.mtu), "up")
        if network.prefix6:
            # Without waiting whether somebody else has it: nobody is there yet.
            self._ip("-6", "address", "add", f"{network.prefix6[1]}/64", "dev", bridge, "nodad")

    def _start_router(self, index: int, network: Network) -> None:
        if network.prefix6:
            name = f"router-{index}"
            leases = self.folder / f"{name}.leases"
            self._start_dnsmasq(name, router_configuration(network.prefix6, network.mtu, f"br{index}", leases))

    def _start_metadata(self) -> None:
        documents = self.folder / "documents.json"
        files.write_json(documents, self._instance.documents())
        errors = self.folder / "metadata.log"
        self.jail.spawn("metadata", [PYTHON, "-I", _METADATA, documents, self._metadata_log], log_file=errors)
        self._wait_for_server("metadata", errors, lambda: "listening" in _text(self._metadata_log))

    @property
    def _metadata_log(self) -> Path:
        return self.folder / "metadata.jsonl"

    def _wait_for_server(self, name: str, errors: Path, ready: Callable[[], bool]) -> None:
        def there() -> bool:
            if ready():
                return True
            if (status := self.jail.poll(name)) is not None:
                raise HarnessError(f"{name} ended with {status}: {tail(_text(errors)) or 'it said nothing'}")
            return False

        Deadline.after(_STEP).wait_for(there, f"{name} did not start", interval=0.05)

    def start_dhcp(self, network: Network) -> None:
        """Start a network's DHCP server; it remembers its leases."""
        index = self._index(network)
        name = f"dhcp-{index}"
        nics = [nic for nic in self._nics if nic.network == network]
        leases = self.folder / f"{name}.leases"
        self._start_dnsmasq(name, dnsmasq_configuration(self._served[index], nics, f"br{index}", leases))

    def _start_dnsmasq(self, name: str, configuration: str) -> None:
        file = self.folder / f"{name}.conf"
        files.write_text(file, configuration)
        errors = self.folder / f"{name}.log"
        before = _text(errors).count(": started,")
        # In the foreground: a daemon would drop its group, which setgroups(2) denies in a user namespace.
        self.jail.spawn(name, ["dnsmasq", "--no-daemon", f"--conf-file={file}"], log_file=errors)
        self._wait_for_server(name, errors, lambda: _text(errors).count(": started,") > before)

    def stop_dhcp(self, network: Network) -> None:
        """Stop a network's DHCP server: requests go unanswered from here on."""
        name = f"dhcp-{self._index(network)}"
        self.jail.signal(name, signal.SIGTERM)
        Deadline.after(_STEP).wait_for(lambda: self.jail.poll(name) is not None, f"{name} did not stop", interval=0.05)

    def change_dhcp(self, network: Network, *, reply_delay: int | None = None, lease: int | None = None) -> None:
        """Serve a network with another delay or lease time (seconds) from now on; its server is restarted.

        ``network`` stays the one that was given to the lab.  A server that was stopped stays so, and starts with them.
        """
        index = self._index(network)
        changes = {"reply_delay": reply_delay, "lease": lease}
        asked = {name: value for name, value in changes.items() if value is not None}
        self._served[index] = dataclasses.replace(self._served[index], **asked)  # type: ignore[arg-type]
        self._restart_dhcp(network)

    def renumber(self, mac: str, address: str) -> None:
        """Give a NIC of the instance another address, as a port update does: its next renewal is refused.

        Raises InputError where the lab does not know the NIC, or the address is not free in its network.
        """
        for place, nic in enumerate(self._nics):
            if nic.mac == mac:
                taken = {other.address for other in self._nics if other.network == nic.network and other is not nic}
                if address in taken:
                    raise InputError(f"NIC {mac}: {address} is another NIC's")
                self._nics[place] = dataclasses.replace(nic, address=address)
                return self._restart_dhcp(nic.network)
        raise InputError(f"the lab's instance has no NIC {mac}")

    def _restart_dhcp(self, network: Network) -> None:
        if self.jail.poll(f"dhcp-{self._index(network)}") is None:
            self.stop_dhcp(network)
            self.start_dhcp(network)

    def dhcp_log(self, network: Network) -> str:
        """What the network's dnsmasq wrote, with each option it sent."""
        return _text(self.folder / f"dhcp-{self._index(network)}.log")

    def tap(self, network: Network) -> str:
        """A new port on a network: the name of a tap inside the jail."""
        bridge = f"br{self._index(network)}"
        name = f"tap{self._taps}"
        self._taps += 1
        self._ip("tuntap", "add", "dev", name, "mode", "tap")
        self._ip("link", "set", name, "mtu", str(network.mtu), "master", bridge, "up")
        return name

    def ports(self) -> tuple[Port, ...]:
        """The instance's NICs, each plugged into a new tap on its network, for ``Hardware``."""
        return tuple(Port(nic.mac, self.tap(nic.network)) for nic in self._instance.nics)

    def relay(self, name: str, address: str, port: int) -> Path:
        """A Unix socket outside, each of whose connections is one to ``address``:``port`` on the lab's networks.

        ``name`` is the socket's, in ``folder``.  Nobody needs to listen there yet: what cannot be connected is closed.
        """
        log_file = self.folder / f"{name}.log"
        # A Unix socket's path is short, so it is bound in its folder.
        argv = [PYTHON, "-I", str(_RELAY), name, address, str(port)]
        self.jail.spawn(f"relay {name}", argv, log_file=log_file, cwd=self.folder)
        self._wait_for_server(f"relay {name}", log_file, lambda: relay.LISTENING in _text(log_file))
        return self.folder / name

    def metadata_log(self, earlier: str = "") -> MetadataCount:
        """What the metadata service was asked until now, and before, as ``earlier`` has it from another lab's log."""
        return read_metadata_log(earlier + self.metadata_events())

    def metadata_events(self) -> str:
        """The log of the metadata service, a JSON document a line."""
        return _text(self._metadata_log)


def _require_tun(jail: Jail) -> None:
    if not TUN.exists():
        raise HostError(f"{TUN} is missing, so a guest cannot be plugged into a network", hint=_TUN_HINT)
    try:
        jail.run(["ip", "tuntap", "add", "dev", "probe", "mode", "tap"], deadline=_STEP)
        jail.run(["ip", "link", "delete", "probe"], deadline=_STEP)
    except CommandFailedError as error:
        raise HostError(f"{TUN} cannot be used: {error.tail or error.status}", hint=_TUN_HINT) from error


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
