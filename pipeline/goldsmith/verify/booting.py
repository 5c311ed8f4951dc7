"""The verdicts of one boot: goldsmith's own checks and the elements', in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.errors import GoldsmithError, HarnessError
from goldsmith.store.manifest import BUILT_IN, SETTLED, Firmware, Layer, Verdict
from goldsmith.verify import settle
from goldsmith.verify.boots import Boot
from goldsmith.verify.compare import Finding
from goldsmith.verify.evaluate import Place, Subject, broken, findings, judge
from goldsmith.verify.model import BoundCheck
from goldsmith.verify.work import BUILT_INS, Work

_SETTLED = f"{BUILT_IN}/{SETTLED}"
_POWERS_OFF = f"{BUILT_IN}/powers-off"
_LAYERS: tuple[Layer, ...] = ("live", "screen", "network")


@dataclass(frozen=True)
class _Ask:
    """One thing to ask of a boot."""

    layer: Layer
    element: str
    check: str
    says: str
    look: Callable[[Boot], list[Finding]]

    @property
    def name(self) -> str:
        return f"{self.element}/{self.check}"


@dataclass
class Booted:
    """What one boot came to; ``overlay`` is its disk, None where the machine never ran."""

    firmware: Firmware
    verdicts: list[Verdict] = field(default_factory=list)
    overlay: Path | None = None
    console: tuple[str, ...] = ()
    error: GoldsmithError | None = None


def needed(work: Work, firmware: Firmware) -> bool:
    """Whether anything is asked that takes a boot."""
    return any(work.wanted(ask.name) for ask in _asks(work, firmware)) or bool(work.checks_in("shutdown", firmware))


def boot_one(work: Work, firmware: Firmware, register: Callable[[Boot], None]) -> Booted:
    """Boot, ask, power off.  Where that breaks, all that was not reached has the verdict broken."""
    done = Booted(firmware)
    asks = [ask for ask in _asks(work, firmware) if ask.name == _SETTLED or work.wanted(ask.name)]
    pending = list(asks)

    def place(layer: Layer, console: Callable[[], tuple[str, ...]]) -> Place:
        return Place(layer, firmware, console, work.repeat(firmware))

    try:
        folder = work.artefacts / firmware
        with work.boot(
            work.image, work.image_format, firmware, folder, work.settings, work.accelerator, work.channel
        ) as boot:
            register(boot)
            done.overlay = boot.overlay
            try:
                while pending:
                    ask = pending.pop(0)
                    verdict = _judged(work, place(ask.layer, boot.console), ask, boot)
                    if work.wanted(verdict.name) or verdict.status != "pass":
                        done.verdicts.append(verdict)
                    if ask.name == _SETTLED and not boot.ready:
                        raise HarnessError("not asked, because the guest does not answer")
                if not any(ask.name == _POWERS_OFF for ask in asks) and work.checks_in("shutdown", firmware):
                    boot.power_off()
            finally:
                done.console = boot.console()
    except GoldsmithError as error:
        done.error = error
        done.verdicts += [
            broken(place(ask.layer, lambda: done.console), ask.element, ask.check, ask.says, error)
            for ask in pending
            if work.wanted(ask.name)
        ]
    return done


def _judged(work: Work, place: Place, ask: _Ask, boot: Boot) -> Verdict:
    if ask.name != _SETTLED:
        return judge(place, ask.element, ask.check, ask.says, lambda: ask.look(boot))
    with work.progress.step(f"verify: boot with {place.firmware}"):
        return judge(place, ask.element, ask.check, ask.says, lambda: ask.look(boot))


def _asks(work: Work, firmware: Firmware) -> Iterator[_Ask]:
    yield _own("live", SETTLED, _settled)
    yield _own("live", "no-failed-units", lambda boot: settle.no_failed_units(boot.guest))
    yield _own("live", "login-prompt", _login_prompt)
    for layer in _LAYERS:
        for bound in work.checks_in(layer, firmware):
            yield _Ask(layer, bound.element, bound.id, bound.check.says, _asker(bound, layer))
    yield _own("shutdown", "powers-off", _powers_off)


def _own(layer: Layer, name: str, look: Callable[[Boot], list[Finding]]) -> _Ask:
    return _Ask(layer, BUILT_IN, name, BUILT_INS[name], look)


def _asker(bound: BoundCheck, layer: Layer) -> Callable[[Boot], list[Finding]]:
    def look(boot: Boot) -> list[Finding]:
        subject: Subject
        if layer == "live":
            subject = boot.guest
        elif layer == "screen":
            subject = boot.screen
        else:
            subject = boot.tally()
        return findings(bound.check.assertion, subject)

    return look


def _settled(boot: Boot) -> list[Finding]:
    try:
        boot.wait_ready()
    except HarnessError as error:
        # With a login prompt the guest is up and our channel is what fails; without one it never came up.
        if boot.prompt_seen():
            raise
        return [Finding("the guest boots and takes commands", str(error))]
    return settle.settled(boot.guest)


def _login_prompt(boot: Boot) -> list[Finding]:
    if boot.login_prompt():
        return []
    return [Finding("ttyS0 shows a login prompt", "\n".join(boot.console()) or "nothing")]


def _powers_off(boot: Boot) -> list[Finding]:
    if boot.power_off():
        return []
    return [Finding("the guest ends after the power button was pressed", "it went on running, and was killed")]
