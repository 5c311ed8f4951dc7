"""A stock image, nothing of ours in it, booted with rendered user-data, passes the live checks of the baked one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from goldsmith.bake.build import build
from goldsmith.boot.accelerator import Accelerator
from goldsmith.boot.instance import Instance, make_nics
from goldsmith.host.deadline import Deadline
from goldsmith.host.progress import Progress
from goldsmith.recipe.loader import load
from goldsmith.recipe.model import ElementUse, Recipe
from goldsmith.recipe.plan import Plan, PlannedCheck, make_plan
from goldsmith.render.cloud_config import Rendered, render
from goldsmith.render.userdata import Part
from goldsmith.settings import PROJECT_ROOT
from goldsmith.store.manifest import BUILT_IN
from goldsmith.verify.boots import BOOT_SECONDS, LabBoot
from goldsmith.verify.machines import NETWORKS, BootPlan, lab_machine
from goldsmith.verify.report import Report
from goldsmith.verify.session import verify_image

pytestmark = [pytest.mark.system, pytest.mark.matrix]

HERE = Path(__file__).parent
OWN = PROJECT_ROOT / "cloud-config" / "testing" / "own.cfg"
LIVE = ("live", "screen", "network")


def _check(name: str, says: str, run: str, expected: str) -> PlannedCheck:
    spec = {"id": name, "says": says, "command": {"run": run, "stdout": {"equals": expected}}}
    return PlannedCheck("cloud-config", name, spec)


def _own_checks(rendered: Rendered) -> list[PlannedCheck]:
    """What is asked beside the elements' checks."""
    log = "/var/log/cloud-init-output.log"
    asked = (
        ("schema", "the image's cloud-init finds it valid", "cloud-init schema --system >&2 && echo valid", "valid"),
        ("stamp", "it was applied once", "ls /var/lib/goldsmith/cloud-config", f"{rendered.digest}.done"),
        ("reboots", "it rebooted as it said", f"grep -c 'g: rebooting' {log} || true", str(int(rendered.reboots))),
        ("in-place", "or it did without", f"grep -c 'g: applied' {log} || true", str(int(not rendered.reboots))),
        ("quiet", "cloud-init saw no error of it", "grep -ci 'boothook.*error' /var/log/cloud-init.log || true", "0"),
        ("own-file", "write_files of the user's own ran", "cat /etc/own-file", "mine"),
        ("own-bootcmd", "its bootcmd ran in one boot", "sort -u /var/lib/own-bootcmd | wc -l", "1"),
        # Counted by runcmd: the network was right by then.
        ("own-runcmd", "its runcmd ran once, with one default route", "cat /var/lib/own-runcmd", "1"),
    )
    return [_check(*each) for each in asked]


class _Rebooting(LabBoot):
    """Ready only after the reboot: the first boot ends before a login prompt."""

    restarts = 1

    def wait_ready(self) -> None:
        deadline = Deadline.after(BOOT_SECONDS * self._machine.scale)
        deadline.wait_for(self.prompt_seen, "a login prompt after the reboot", interval=1.0)
        super().wait_ready()


def _booted(plan: Plan, image: Path, rendered: Rendered, workshop, accelerator: Accelerator, name: str) -> Report:
    @contextlib.contextmanager
    def boot(plan: BootPlan) -> Iterator[LabBoot]:
        instance = Instance(str(uuid.uuid4()), "stock", make_nics(NETWORKS), user_data=rendered.document)
        kind = _Rebooting if rendered.reboots else LabBoot
        with lab_machine(plan, NETWORKS, instance) as (machine, lab):
            yield kind(machine, lab, plan.folder)

    checks = [*(check for check in plan.checks if check.element in rendered.applied), *_own_checks(rendered)]
    return verify_image(
        image,
        checks,
        ("bios",),
        workshop.settings,
        Progress(),
        accelerator=accelerator,
        artefacts=workshop.settings.cache_dir / "reports" / name,
        target=name,
        boot=boot,
    )


@pytest.fixture(scope="module")
def stock(workshop, whole_host) -> Path:
    plan = make_plan(load(HERE / "recipes" / "stock.yaml", workshop.settings), workshop.settings)
    with whole_host:
        return build(plan, workshop.settings, Progress()).image


def _without(recipe: Recipe, names: Sequence[str]) -> Recipe:
    kept: tuple[ElementUse, ...] = tuple(use for use in recipe.elements if use.name not in names)
    return recipe.model_copy(update={"elements": kept})


@pytest.mark.parametrize(
    ("name", "left_out"), [("stock-reboots", ()), ("stock-in-place", ("text-console",))], ids=["reboot", "in-place"]
)
def test_a_stock_image_passes_the_live_checks(workshop, accelerator, whole_host, stock, name, left_out):
    recipe = load(PROJECT_ROOT / "recipes" / "debian-13.yaml", workshop.settings)
    plan = make_plan(_without(recipe, left_out), workshop.settings)
    rendered = render(plan, parts=[Part(OWN.name, OWN.read_text())])
    assert rendered.reboots is not bool(left_out)
    with whole_host:
        report = _booted(plan, stock, rendered, workshop, accelerator, name)

    # "login-prompt" is the element text-console's doing, and where it is left out the image's.
    mine = [v for v in report.verdicts if not (left_out and v.name == f"{BUILT_IN}/login-prompt")]
    wrong = [v for v in mine if v.layer != "offline" and v.status != "pass"]
    assert not wrong, "\n".join(f"{v.name} {v.layer}: {v.expected} / {v.seen}" for v in wrong)
    asked = {(v.element, v.check) for v in report.verdicts if v.layer in LIVE}
    assert ("single-default-route", "one-default") in asked
    assert ("networkd", "configured") in asked
    # The image had none of it: what is there was brought by the user-data.
    before = {(v.element, v.check): v.status for v in report.verdicts if v.layer == "offline"}
    assert before["networkd", "dhcp-file"] == before["single-default-route", "rule"] == "fail"
