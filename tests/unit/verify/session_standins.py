"""A verification whose image is empty and whose boots and disks are stand-ins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify_standins import FakeBoot

from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.channel import Channel
from goldsmith.errors import HarnessError
from goldsmith.host.progress import Progress
from goldsmith.settings import Settings
from goldsmith.store.manifest import Firmware, Verdict
from goldsmith.verify.console_rules.rules import ConsoleRules
from goldsmith.verify.machines import BootPlan
from goldsmith.verify.report import Report
from goldsmith.verify.session import verify_image
from goldsmith.verify.tree import FolderTree, Tree
from goldsmith.verify.work import OnFailure, OpenDisks

ACCELERATOR = Accelerator("tcg", "a test", {"tcg": 0.1}, 1.0)
CREDENTIAL = Channel("credential", "a test")


@dataclass(frozen=True)
class Planned:
    element: str
    id: str
    spec: dict[str, Any]


def check(name: str, **assertion: Any) -> Planned:
    return Planned("networkd", name, {"id": name, "says": "the guest is as it should be", **assertion})


CHECKS = (
    check("baked", file={"path": "/etc/hostname", "content": {"equals": "golden"}}),
    check("live", command={"run": "probe", "stdout": {"equals": "ok"}}),
    check("bios-only", command={"run": "probe"}, firmware=["bios"]),
    check("counted", metadata={"max_requests": 40}),
)


@dataclass
class Bench:
    """An image, its boots and its disks, all stand-ins."""

    folder: Path
    settings: Settings
    image: Path
    boots: dict[Firmware, FakeBoot]
    refusal: dict[Firmware, Exception] = field(default_factory=dict)
    #: what stands in /etc/hostname, by disk
    disks: dict[str, str] = field(default_factory=lambda: {"image": "golden", "bios": "golden", "uefi": "golden"})
    opened: list[list[str]] = field(default_factory=list)
    launch_error: HarnessError | None = None
    #: what each boot was told
    plans: list[BootPlan] = field(default_factory=list)

    @contextlib.contextmanager
    def boot(self, plan: BootPlan) -> Iterator[FakeBoot]:
        self.plans.append(plan)
        assert (plan.image, plan.image_format, plan.accelerator) == (self.image, "qcow2", ACCELERATOR)
        if plan.firmware in self.refusal:
            raise self.refusal[plan.firmware]
        plan.folder.mkdir(parents=True, exist_ok=True)
        for name in ("overlay.qcow2", "console.log"):
            (plan.folder / name).touch()
        yield self.boots[plan.firmware]

    @contextlib.contextmanager
    def open_disks(self, disks: Mapping[str, tuple[Path, str]], used: Accelerator) -> Iterator[OpenDisks]:
        if self.launch_error:
            raise self.launch_error
        self.opened.append(list(disks))
        bench = self

        class Disks:
            def add(self, name: str, disk: Path, disk_format: str) -> None:
                assert disk_format == "qcow2"
                bench.opened[-1].append(name)

            @contextlib.contextmanager
            def tree(self, name: str) -> Iterator[Tree]:
                root = bench.folder / "trees" / name
                if bench.disks[name]:
                    (root / "etc").mkdir(parents=True, exist_ok=True)
                    (root / "etc/hostname").write_text(bench.disks[name])
                else:
                    raise HarnessError("no file system of it holds /etc/os-release", where=name)
                yield FolderTree(root)

        yield Disks()

    def verify(
        self,
        *,
        only: tuple[str, ...] = (),
        checks: tuple[Planned, ...] = CHECKS,
        channel: Channel | None = CREDENTIAL,
        console_rules: ConsoleRules | None = None,
        properties: Mapping[str, str] | None = None,
        on_failure: OnFailure | None = None,
    ) -> Report:
        return verify_image(
            self.image,
            checks,
            ("bios", "uefi"),
            self.settings,
            Progress(quiet=True),
            accelerator=ACCELERATOR,
            artefacts=self.folder / "artefacts",
            target="recipes/debian 13.yaml",
            only=only,
            channel=channel,
            console_rules=console_rules,
            properties=properties,
            on_failure=on_failure,
            boot=self.boot,
            open_disks=self.open_disks,
        )


def found(report: Report) -> list[tuple[str, str, str | None, str]]:
    return [(v.name, v.layer, v.firmware, v.status) for v in report.verdicts]


def bad(report: Report) -> dict[tuple[str, str, str | None], Verdict]:
    return {(v.name, v.layer, v.firmware): v for v in report.verdicts if v.status != "pass"}
