"""What a guest on several networks goes through between its first boot and an hour later, in one boot and one reboot.

Every network offers a default gateway by options 3, 121 and 249 and by router advertisements.  Each step changes
something, proves that the guest took part in it, waits until the network rests, and looks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import GuestFile
from goldsmith.boot.instance import LEAST_LEASE, Instance, Network, make_nics
from goldsmith.boot.lab import Lab
from goldsmith.boot.machine import Machine, Port
from goldsmith.errors import DeadlineError, HarnessError
from goldsmith.host.deadline import Deadline
from goldsmith.host.files import file_digest
from goldsmith.settings import Settings
from goldsmith.verify import appliance, channels, settle
from goldsmith.verify.boots import BOOT_SECONDS
from goldsmith.verify.compare import Finding
from goldsmith.verify.kinds.network import RouteAssertion, nics, route
from goldsmith.verify.machines import BootPlan, lab_machine
from goldsmith.verify.subjects import LiveGuest

#: seconds that the server which is to answer last waits
DELAY = 3
NETWORKS = (
    Network("primary", "10.20.0.0/24", "10.20.0.1", lease=LEAST_LEASE, reply_delay=DELAY, subnet6="fd20:20::/64"),
    Network("secondary", "10.30.0.0/24", "10.30.0.1", lease=LEAST_LEASE, subnet6="fd20:30::/64"),
)
#: what a NIC is plugged into later
LATER = Network("later", "10.40.0.0/24", "10.40.0.1", lease=LEAST_LEASE, subnet6="fd20:40::/64")
LATER_MAC = "fa:16:3e:00:0a:01"
STEPS = ("first boot", "renewed", "renumbered", "server away", "timeout", "hot-plugged", "rebooted")

#: seconds on the reference host; a lease is renewed after half its time, and 20 s for a slow guest
RENEWAL = LEAST_LEASE / 2 + 20
#: until a client whose renewal was refused, or whose lease ended, has tried again
ANEW = 2 * LEAST_LEASE
#: until a client that had given up asks again: isc-dhclient sleeps five minutes (dhclient.conf(5), retry)
RETRIED = 300 + ANEW
PLUGGED = 60.0

IPV4_DEFAULT = RouteAssertion(family="ipv4", destination="default", count=1, device="first")
IPV4_NO_DEFAULT = RouteAssertion(family="ipv4", destination="default", count=0)
#: addresses of documentation, IPv4 and IPv6, which are on no network of the lab
OUTSIDE = ("192.0.2.1", "2001:db8::1")
IPV6_DEFAULT = RouteAssertion(family="ipv6", destination="default", count=1, device="first")
_METADATA = (
    "python3 -c 'import urllib.request as u; "
    'print(u.urlopen("http://169.254.169.254/openstack", timeout=20).status)\' || curl -sSf -m 20 '
    "-o /dev/null -w '%{http_code}\\n' http://169.254.169.254/openstack"
)
#: dhclient started anew on a NIC, with its reasons written down and little patience.  A hook writes them: AppArmor's
#: profile of dhclient lets it start no script but its own.
_TIMEOUT = """
kill -9 {pid}
ip address flush dev {name}
rm -f /run/timeout.reasons
{{ cat /etc/dhcp/dhclient.conf; echo 'timeout 15;'; }} >/run/timeout.conf
echo 'echo "$reason" >>/run/timeout.reasons' >/etc/dhcp/dhclient-enter-hooks.d/zz-reasons
dhclient -v -cf /run/timeout.conf -lf {leases} -pf /run/dhclient.{name}.pid {name}
rm /etc/dhcp/dhclient-enter-hooks.d/zz-reasons
"""
#: the guest's view, for whoever reads the results
_VIEW = "ip -br address; ip -4 route; ip -6 route show default"


@dataclass
class Step:
    """What came of a step: findings by what was looked at, none where all is well; ``figures`` prove it happened."""

    name: str
    seconds: float = 0.0
    #: why the step does not apply to this guest
    skipped: str = ""
    findings: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    view: str = ""

    @property
    def problems(self) -> list[str]:
        return [f"{what}: {text}" for what, texts in self.findings.items() for text in texts]


class Scenario:
    """One booted guest; ``run`` goes through the steps named, and ends at the first in which the harness breaks."""

    def __init__(self, machine: Machine, lab: Lab) -> None:
        self._machine = machine
        self._lab = lab
        self._guest = LiveGuest(machine.guest, machine.scale)
        self._addresses = {nic.mac: nic.address for nic in make_nics(NETWORKS)}
        self._networks = {nic.mac: nic.network for nic in make_nics(NETWORKS)}

    def run(self, steps: Sequence[str] = STEPS) -> Iterator[Step]:
        acts: dict[str, Callable[[Step], None]] = {
            "first boot": self._first_boot,
            "renewed": self._renewed,
            "renumbered": self._renumbered,
            "server away": self._server_away,
            "timeout": self._timeout,
            "hot-plugged": self._hot_plugged,
            "rebooted": self._rebooted,
        }
        for name in steps:
            step = Step(name)
            started = time.monotonic()
            try:
                acts[name](step)
                if not step.skipped:
                    settle.wait_for_quiet_network(self._guest)
                    self._look(step)
            except HarnessError as error:
                step.findings["the step"] = [str(error)]
                with contextlib.suppress(HarnessError):
                    step.view = self._guest.run(_VIEW).stdout
                return
            finally:
                step.seconds = round(time.monotonic() - started, 1)
                yield step

    def _look(self, step: Step) -> None:
        step.findings["IPv4 default route"] = _texts(route(IPV4_DEFAULT, self._guest))
        step.findings["IPv6 default route"] = _texts(route(IPV6_DEFAULT, self._guest))
        step.findings["the way out"] = self._ways_out({nics(self._guest)[0]})
        step.findings["metadata"] = self._metadata()
        step.findings["units"] = _texts(settle.no_failed_units(self._guest))
        # One default route is no proof where the other NIC is just not there.
        present = self._present()
        wanted = self._addresses.values()
        step.findings["addresses"] = [f"{address} is on no NIC" for address in wanted if address not in present]
        step.view = self._guest.run(_VIEW).stdout

    def _metadata(self) -> list[str]:
        answer = self._guest.run(_METADATA)
        return [] if answer.stdout.strip().endswith("200") else [f"{answer.stdout}{answer.stderr}"]

    def _ways_out(self, wanted: set[str], addresses: Sequence[str] = OUTSIDE) -> list[str]:
        """Where the kernel sends what goes outside, all tables and rules counted, if not through ``wanted``."""
        said = self._guest.run("; ".join(f"ip route get {address}" for address in addresses)).stdout
        return (
            [] if set(re.findall(r" dev (\S+)", said)) == wanted else [f"expected: {wanted or 'no way'}\nseen: {said}"]
        )

    def _present(self) -> list[str]:
        text = self._guest.output("ip -o -4 address show")
        return re.findall(r"\binet ([0-9.]+)/", text)

    def _wait(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Seconds until ``condition`` held."""
        started = time.monotonic()
        Deadline.after(seconds * self._machine.scale).wait_for(condition, what, interval=2.0)
        return round(time.monotonic() - started, 1)

    def _logs(self) -> dict[str, int]:
        return {mac: len(self._lab.dhcp_log(network)) for mac, network in self._networks.items()}

    def _said(self, mac: str, before: dict[str, int], word: str) -> int:
        """How often a server said ``word`` about a NIC since then."""
        new = self._lab.dhcp_log(self._networks[mac])[before[mac] :]
        return sum(word in line and mac in line for line in new.splitlines())

    def _first_boot(self, step: Step) -> None:
        started = time.monotonic()
        self._machine.guest.wait_ready(Deadline.after(BOOT_SECONDS * self._machine.scale))
        step.figures["seconds to the channel"] = round(time.monotonic() - started, 1)
        step.findings["at rest"] = [finding.seen for finding in settle.settled(self._guest)]
        none = dict.fromkeys(self._networks, 0)
        step.figures["offers"] = {mac: self._said(mac, none, "DHCPOFFER") for mac in self._networks}

    def _renewed(self, step: Step) -> None:
        before = self._logs()
        step.figures["seconds until both renewed"] = self._wait(
            lambda: all(self._said(mac, before, "DHCPACK") for mac in self._networks), RENEWAL, "both NICs renew"
        )
        step.figures["acknowledged"] = {mac: self._said(mac, before, "DHCPACK") for mac in self._networks}
        began = [mac for mac in self._networks if self._said(mac, before, "DHCPDISCOVER")]
        step.findings["renewal"] = [f"{mac} asked anew instead of renewing" for mac in began]

    def _renumbered(self, step: Step) -> None:
        before = self._logs()
        for mac, address in self._addresses.items():
            self._addresses[mac] = address.rpartition(".")[0] + ".77"
            self._lab.renumber(mac, self._addresses[mac])
        step.figures["seconds until both moved"] = self._wait(self._addressed, ANEW, "both NICs have their new address")
        step.figures["refused"] = {mac: self._said(mac, before, "DHCPNAK") for mac in self._networks}

    def _addressed(self) -> bool:
        return set(self._addresses.values()) <= set(self._present())

    def _server_away(self, step: Step) -> None:
        for network in NETWORKS:
            self._lab.stop_dhcp(network)
        step.figures["seconds until both leases ended"] = self._wait(
            lambda: not set(self._addresses.values()) & set(self._present()), ANEW, "both leases end"
        )
        # The chosen behaviour while the primary has no lease: nothing leaves through a network that was not chosen, and
        # the metadata service is reached through the other one.
        self._lab.start_dhcp(NETWORKS[1])
        second = list(self._addresses.values())[1]
        step.figures["seconds until the second was back"] = self._wait(
            lambda: second in self._present(), RETRIED, "the second NIC has a lease again"
        )
        step.findings["no lease on the primary: IPv4 default route"] = _texts(route(IPV4_NO_DEFAULT, self._guest))
        step.findings["no lease on the primary: the way out"] = self._ways_out(set(), OUTSIDE[:1])
        step.findings["no lease on the primary: metadata"] = self._metadata()
        self._lab.start_dhcp(NETWORKS[0])
        step.figures["seconds until both were back"] = self._wait(
            self._addressed, RETRIED, "both NICs have a lease again"
        )

    def _timeout(self, step: Step) -> None:
        """dhclient starts with a lease that still holds while no server answers: its reason is TIMEOUT then."""
        mac = list(self._networks)[1]
        name = self._name(mac)
        found = self._guest.run(f"pgrep -a dhclient | grep -w {name}").stdout.splitlines()
        if not found:
            step.skipped = "no dhclient runs"
            return
        pid, *words = found[0].split()
        leases = words[words.index("-lf") + 1] if "-lf" in words else f"/var/lib/dhcp/dhclient.{name}.leases"
        self._lab.stop_dhcp(self._networks[mac])
        # Killed, not released; its routes and addresses must come from the script that runs with TIMEOUT.
        done = self._guest.run(_TIMEOUT.format(pid=pid, name=name, leases=leases))
        step.figures["reasons"] = self._guest.run("cat /run/timeout.reasons").stdout.split()
        if "TIMEOUT" not in step.figures["reasons"]:
            raise HarnessError(f"dhclient did not come to TIMEOUT: {done.stdout}{done.stderr}")
        # Looked at while the server is still away, and once more when it is back.
        self._look(step)
        if step.problems:
            raise HarnessError(f"with the server away: {step.problems}")
        self._lab.start_dhcp(self._networks[mac])

    def _name(self, mac: str) -> str:
        names = self._guest.output(f"grep -l {mac} /sys/class/net/*/address").splitlines()
        return names[0].split("/")[4] if names else ""

    def _hot_plugged(self, step: Step) -> None:
        self._machine.plug(Port(LATER_MAC, self._lab.tap(LATER)))
        step.figures["seconds until the guest saw it"] = self._wait(
            lambda: len(nics(self._guest)) > len(NETWORKS), PLUGGED, "the guest sees the NIC"
        )

        def addressed() -> bool:
            return any(address.startswith("10.40.0.") for address in self._present())

        try:
            step.figures["seconds until it had a lease"] = self._wait(addressed, PLUGGED, "the NIC has a lease")
        except DeadlineError:
            # ifupdown configures what is written in its file; an operator would ask for a lease by hand.
            name = self._name(LATER_MAC)
            self._guest.run(f"dhclient {name} || dhcpcd {name}")
            step.figures["seconds until it had a lease, asked by hand"] = self._wait(addressed, PLUGGED, "a lease")

    def _rebooted(self, step: Step) -> None:
        # The other order: now the second network's server answers last.
        self._lab.change_dhcp(NETWORKS[0], reply_delay=0)
        self._lab.change_dhcp(NETWORKS[1], reply_delay=DELAY)
        started = time.monotonic()
        boot_id = self._machine.reboot(Deadline.after(BOOT_SECONDS * self._machine.scale))
        step.figures["boot id"] = boot_id
        step.figures["seconds to the channel"] = round(time.monotonic() - started, 1)
        step.findings["at rest"] = [finding.seen for finding in settle.settled(self._guest)]


def _texts(findings: list[Finding]) -> list[str]:
    return [f"expected: {finding.expected}\nseen: {finding.seen}" for finding in findings]


def run_scenario(
    image: Path,
    settings: Settings,
    accelerator: Accelerator,
    folder: Path,
    *,
    steps: Sequence[str] = STEPS,
    guest_files: Sequence[GuestFile] = (),
) -> Generator[Step, None, None]:
    """Boot ``image`` once and take it through ``steps``: what came of each.  Servers' logs are left in ``folder``."""
    channel = channels.chosen(image, "qcow2", file_digest(image), settings, accelerator, appliance.launched)
    instance = Instance(str(uuid.uuid4()), "goldsmith-stack", make_nics(NETWORKS))
    networks = (*NETWORKS, LATER)
    plan = BootPlan(image, "qcow2", "bios", folder, settings, accelerator, channel)
    with lab_machine(plan, networks, instance, guest_files) as (machine, lab):
        try:
            yield from Scenario(machine, lab).run(steps)
        finally:
            for network in networks:
                (folder / f"dhcp-{network.name}.log").write_text(lab.dhcp_log(network))


def as_documents(steps: Iterable[Step]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(step) for step in steps]
