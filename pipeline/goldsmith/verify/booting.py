"""The verdicts of one boot: goldsmith's own checks and the elements', in the order in which they are asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.errors import GoldsmithError, HarnessError, MachineLostError, NoChannelError
from goldsmith.store.manifest import BUILT_IN, SETTLED, Firmware, Layer, Verdict
from goldsmith.verify import settle
from goldsmith.verify.boots import Boot
from goldsmith.verify.compare import Finding
from goldsmith.verify.console_rules.watch import Watch
from goldsmith.verify.evaluate import Place, Subject, broken, findings, judge
from goldsmith.verify.foresight import Foresight
from goldsmith.verify.model import BoundCheck
from goldsmith.verify.timeline import Timeline
from goldsmith.verify.work import BUILT_INS, CONSOLE, Work

_SETTLED = f"{BUILT_IN}/{SETTLED}"
_POWERS_OFF = f"{BUILT_IN}/powers-off"
_CONSOLE = f"{BUILT_IN}/{CONSOLE}"
_LAYERS: tuple[Layer, ...] = ("live", "screen", "network")


@dataclass(frozen=True)
class _Ask:
    """One thing to ask of a boot."""

    layer: Layer
    element: str
    check: str
    says: str
    look: Callable[[Boot, Watch], list[Finding]]
    #: whether it takes commands in the guest
    commands: bool = True
    #: the check, where it is one of the running guest's
    bound: BoundCheck | None = None

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
    timeline: Timeline | None = None


def needed(work: Work, firmware: Firmware) -> bool:
    """Whether anything is asked that takes a boot."""
    asked = [_CONSOLE, *(ask.name for ask in _asks(work, firmware))]
    return any(map(work.wanted, asked)) or bool(work.checks_in("shutdown", firmware))


def boot_one(work: Work, firmware: Firmware, register: Callable[[Boot], None]) -> Booted:
    """Boot, ask, power off.  Where that breaks, all that was not reached has the verdict broken."""
    done = Booted(firmware)
    asks = [ask for ask in _asks(work, firmware) if ask.name == _SETTLED or work.wanted(ask.name)]
    pending = list(asks)
    watch = Watch(work.console_rules, firmware)

    def place(layer: Layer, console: Callable[[], tuple[str, ...]]) -> Place:
        return Place(layer, firmware, console, work.repeat(firmware))

    try:
        with work.boot(work.boot_plan(firmware)) as boot:
            register(boot)
            done.overlay = boot.overlay
            watch.restarts = boot.restarts
            boot.observe(watch)
            foresight: Foresight | None = None
            try:
                while pending:
                    if pending[0].name == _POWERS_OFF:
                        _show_failure(work, boot, done)
                    if pending[0].bound and foresight is None and boot.ready:
                        foresight = _foreseen(work, boot, [ask.bound for ask in pending if ask.bound])
                    ask = _askable(pending.pop(0), boot)
                    if ask.bound and foresight:
                        ask = _prepared(ask, ask.bound, foresight)
                    verdict = _judged(work, place(ask.layer, boot.console), ask, boot, watch)
                    if work.wanted(verdict.name) or verdict.status != "pass":
                        done.verdicts.append(verdict)
                    if ask.name == _SETTLED and (why := _lost(boot, watch)):
                        _show_failure(work, boot, done)
                        raise HarnessError(f"not asked, because {why}")
                if not any(ask.name == _POWERS_OFF for ask in asks):
                    _show_failure(work, boot, done)
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
    if done.overlay is not None:
        done.timeline = watch.timeline()
    if work.wanted(_CONSOLE):
        console = place("live", lambda: done.console)
        done.verdicts.append(judge(console, BUILT_IN, CONSOLE, BUILT_INS[CONSOLE], lambda: _on_console(watch, done)))
    return done


def _foreseen(work: Work, boot: Boot, checks: list[BoundCheck]) -> Foresight:
    foresight = Foresight(boot.guest)
    with work.progress.step("verify: what the checks ask"):
        foresight.prepare(checks)
    return foresight


def _prepared(ask: _Ask, bound: BoundCheck, foresight: Foresight) -> _Ask:
    return dataclasses.replace(ask, look=lambda boot, watch: findings(bound.check.assertion, foresight.subject()))


def _show_failure(work: Work, boot: Boot, done: Booted) -> None:
    if work.on_failure and any(verdict.status != "pass" for verdict in done.verdicts):
        work.on_failure(boot, tuple(done.verdicts))


def _lost(boot: Boot, watch: Watch) -> str:
    """Why nothing else is asked of a boot; empty where it came up."""
    if watch.over:
        return "the boot is over"
    return "" if boot.ready or (boot.passive and boot.prompt_seen()) else "the guest does not answer"


def _askable(ask: _Ask, boot: Boot) -> _Ask:
    """What takes commands is not asked of a guest that takes none."""

    def refuse(boot: Boot, watch: Watch) -> list[Finding]:
        raise NoChannelError(f"no command can be asked of this guest: {boot.passive}")

    return dataclasses.replace(ask, look=refuse) if boot.passive and ask.commands and ask.name != _SETTLED else ask


def _on_console(watch: Watch, done: Booted) -> list[Finding]:
    found = watch.findings()
    if done.error and not found:
        # Half a boot without a fault proves nothing.
        raise done.error
    return found


def _judged(work: Work, place: Place, ask: _Ask, boot: Boot, watch: Watch) -> Verdict:
    def look() -> Verdict:
        return judge(place, ask.element, ask.check, ask.says, lambda: ask.look(boot, watch))

    if ask.name == _SETTLED:
        with work.progress.step(f"verify: boot with {place.firmware}"):
            verdict = look()
    else:
        verdict = look()
    picture = None if verdict.status == "pass" else boot.screenshot(ask.name)
    return verdict.model_copy(update={"seen": f"{verdict.seen}\nscreen: {picture}"}) if picture else verdict


def _asks(work: Work, firmware: Firmware) -> Iterator[_Ask]:
    yield _own("live", SETTLED, _settled)
    yield _own("live", "no-failed-units", lambda boot, watch: settle.no_failed_units(boot.guest))
    yield _own("live", "login-prompt", _login_prompt, commands=False)
    for layer in _LAYERS:
        for bound in work.checks_in(layer, firmware):
            asker = _asker(bound, layer)
            live = bound if layer == "live" else None
            yield _Ask(layer, bound.element, bound.id, bound.check.says, asker, commands=layer == "live", bound=live)
    yield _own("shutdown", "powers-off", _powers_off, commands=False)


def _own(layer: Layer, name: str, look: Callable[[Boot, Watch], list[Finding]], *, commands: bool = True) -> _Ask:
    return _Ask(layer, BUILT_IN, name, BUILT_INS[name], look, commands)


def _asker(bound: BoundCheck, layer: Layer) -> Callable[[Boot, Watch], list[Finding]]:
    def look(boot: Boot, watch: Watch) -> list[Finding]:
        subject: Subject
        if layer == "live":
            subject = boot.guest
        elif layer == "screen":
            subject = boot.screen
        else:
            subject = boot.tally()
        return findings(bound.check.assertion, subject)

    return look


def _settled(boot: Boot, watch: Watch) -> list[Finding]:
    try:
        boot.wait_ready()
        findings = settle.settled(boot.guest)
    except NoChannelError as error:
        when = f"its console shows a login prompt, {boot.seconds():.0f} s after power-on"
        raise NoChannelError(f"{error.message}; {when}") from error
    except MachineLostError as error:
        watch.stalled = True
        message = f"{error.message}, in {watch.phase().name}"
        raise MachineLostError(message, where=error.where, hint=error.hint) from error
    except HarnessError as error:
        # With a login prompt the guest is up and our channel is what fails; without one it never came up.
        if not watch.over and (boot.ready or boot.prompt_seen()):
            raise
        watch.stalled = True
        seen = [_where(boot, watch), *_on_screen(boot, watch), str(error)]
        return [Finding("the guest boots and takes commands", "\n".join(seen))]
    watch.stalled = any(isinstance(each, settle.Stalled) for each in findings)
    where = [_where(boot, watch)] if watch.stalled else []
    return [Finding(each.expected, "\n".join([*where, each.seen])) for each in findings]


def _where(boot: Boot, watch: Watch) -> str:
    """The phase that a boot does not get out of, as far as its console tells."""
    phase = watch.phase()
    if watch.seen_on_screen:
        said = "nothing" if watch.silent else "no phase"
        return (
            f"{_verb(watch)} in {phase.name}, as the screen shows; the console showed {said} in {boot.seconds():.0f} s"
        )
    if watch.silent:
        if watch.over:
            return f"ended in {phase.name}, after {boot.seconds():.0f} s; the console showed nothing"
        if watch.handed_over:
            return f"stalled in {phase.name}; the console showed nothing in {boot.seconds():.0f} s"
        return f"the console showed nothing in {boot.seconds():.0f} s: stalled in {phase.name}, or it goes on unseen"
    return f"{_verb(watch)} in {phase.name}, {boot.seconds() - phase.began:.0f} s after that began"


def _verb(watch: Watch) -> str:
    return "ended" if watch.over else "stalled"


def _on_screen(boot: Boot, watch: Watch) -> list[str]:
    """What the screen says of a boot that its console tells nothing of."""
    if watch.ended or watch.gave_up:
        return []
    try:
        return watch.on_screen(boot.screen.display.screen_text() or ())
    except HarnessError:
        return []


def _login_prompt(boot: Boot, watch: Watch) -> list[Finding]:
    if boot.login_prompt():
        return []
    last = "\n".join(boot.console()) or "nothing"
    return [Finding("ttyS0 shows a login prompt", f"{_where(boot, watch)}\n{last}")]


def _powers_off(boot: Boot, watch: Watch) -> list[Finding]:
    if boot.power_off():
        return []
    return [Finding("the guest ends after the power button was pressed", "it went on running, and was killed")]
