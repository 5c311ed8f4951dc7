"""One boot's console, looked at line by line as it comes: phases, marks, and whether the boot is over."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from goldsmith.boot.lines import Line
from goldsmith.store.manifest import Firmware
from goldsmith.verify.compare import Finding
from goldsmith.verify.console_rules.patterns import Search
from goldsmith.verify.console_rules.phases import Tracker
from goldsmith.verify.console_rules.rules import ConsoleRules, Harmless, Rule
from goldsmith.verify.timeline import Mark, Phase, Timeline

#: marks that are kept, of one rule and of all; a guest that prints the same error for ever costs no more
MOST_OF_ONE = 10
MOST = 200
#: characters of a line that a mark keeps
SHOWN = 400
#: stands in the place of a rule where nothing happens any more
STANDSTILL = "standstill"


@dataclass(frozen=True)
class GivenUp:
    """Why nothing is waited for any more, where no line of the console says so."""

    #: a rule's id, or STANDSTILL
    rule: str
    reason: str


@dataclass(frozen=True)
class _Compiled:
    rule: Rule
    pattern: Search
    unless: Search | None
    harmless: tuple[Search, ...]

    def hits(self, text: str) -> bool:
        if not self.pattern(text) or (self.unless and self.unless(text)):
            return False
        return not any(each(text) for each in self.harmless)


def _compiled(rule: Rule, ignore: Iterable[Harmless]) -> _Compiled:
    harmless = [each.pattern for each in ignore if each.pattern and each.rule in (None, rule.id)]
    unless = Search(rule.unless) if rule.unless else None
    return _Compiled(rule, Search(rule.pattern), unless, tuple(map(Search, harmless)))


class Watch:
    """Holds the lines of one boot against console rules.  ``take`` may be called in another thread than the rest.

    ``restarts`` is how often the guest is asked to start over: rules that count lines of a boot allow so many more.
    ``on_end`` is called once, with the first mark of a rule that ends the boot, in the thread that takes lines.
    """

    def __init__(self, rules: ConsoleRules, firmware: Firmware, restarts: int = 0) -> None:
        self.rules = rules
        self._rules = [_compiled(rule, rules.ignore) for rule in rules.rules]
        self._required = {required: Search(required.pattern) for required in rules.require}
        self._firmware = firmware
        self.restarts = restarts
        self._lock = threading.RLock()
        self._tracker = Tracker()
        #: of what stands on the screen, which tells of phases where the console does not
        self._screen = Tracker()
        self._on_screen: list[tuple[Rule, str]] = []
        self._handed_over = False
        self._gave_up: GivenUp | None = None
        self._counts: Counter[str] = Counter()
        #: the last line on which each rule hit: a long line comes in pieces that overlap
        self._hit: dict[str, int] = {}
        self._marks: list[Mark] = []
        self._errors: set[str] = {rule.id for rule in rules.rules if rule.severity == "error"}
        self._said_something = False
        self._ended: Mark | None = None
        #: to be set where the boot does not come to its end
        self.stalled = False
        self.on_end: Callable[[Mark], None] | None = None

    def take(self, line: Line) -> None:
        """Look at a line.  One that is not complete, such as a prompt, tells of phases only."""
        with self._lock:
            self._said_something = True
            self._tracker.take(line)
            if line.complete:
                self._hold_against(line)

    def _hold_against(self, line: Line) -> None:
        for required, pattern in list(self._required.items()):
            if pattern(line.text):
                del self._required[required]
        for each in self._rules:
            rule = each.rule
            if self._hit.get(rule.id) == line.number or not each.hits(line.text):
                continue
            self._hit[rule.id] = line.number
            self._counts[rule.id] += 1
            if self._counts[rule.id] > rule.most + (self.restarts if rule.most else 0):
                self._mark(rule, line)

    def _mark(self, rule: Rule, line: Line) -> None:
        mark = Mark(rule=rule.id, line=line.number, text=line.text.strip()[:SHOWN], reason=rule.says)
        kept = sum(other.rule == rule.id for other in self._marks)
        if kept < MOST_OF_ONE and len(self._marks) < MOST:
            self._marks.append(mark)
        if rule.ends and self._ended is None:
            self._ended = mark
            if self.on_end:
                self.on_end(mark)

    @property
    def ended(self) -> Mark | None:
        """The mark that says that the boot is over; None as long as it goes on."""
        return self._ended

    @property
    def silent(self) -> bool:
        """Whether the console said nothing at all."""
        return not self._said_something

    @property
    def over(self) -> bool:
        """Whether the boot came to an end, by the console or by anything else; one that stands still did not."""
        return self._ended is not None or (self._gave_up is not None and self._gave_up.rule != STANDSTILL)

    @property
    def gave_up(self) -> GivenUp | None:
        return self._gave_up

    def give_up(self, rule: str, reason: str) -> None:
        """Nothing is waited for any more.  The first reason stays."""
        self._gave_up = self._gave_up or GivenUp(rule, reason)

    def see(self, screen: Sequence[str], at: float) -> bool:
        """Look at the text of a screen ``at`` seconds after power-on; whether it shows that the boot is over.

        What is there must still be there at the next look: a text may pass.
        """
        before, self._on_screen = self._on_screen, self._ends_on(screen)
        with self._lock:
            for row, text in enumerate(screen, 1):
                self._screen.take(Line(row, at, text))
            last = next((text for text in reversed(screen) if text.strip()), "")
            self._handed_over = self._tracker.shows_firmware(last)
        stays = [each for each in self._on_screen if each in before]
        if stays:
            rule, line = stays[0]
            self.give_up(rule.id, f"{rule.says}; the screen says: {line}")
        return bool(stays)

    def phase(self) -> Phase:
        """The phase that was begun last, as far as it can be seen."""
        with self._lock:
            return (self._screen if self._only_on_screen() else self._tracker).last()

    def known_phase(self) -> str | None:
        """Its name; None where neither console nor screen tells of any."""
        with self._lock:
            told = self._tracker.begun or self._screen.begun or self._handed_over
            return self.phase().name if told else None

    @property
    def handed_over(self) -> bool:
        """Whether the firmware started what is on the disk, and nothing came of that."""
        return self._handed_over and not self._tracker.begun and not self._screen.begun

    @property
    def seen_on_screen(self) -> bool:
        """Whether it is the screen that tells the phase."""
        with self._lock:
            return self._only_on_screen()

    def _only_on_screen(self) -> bool:
        return self._screen.begun and not self._tracker.begun

    def timeline(self) -> Timeline:
        """What was seen until now."""
        with self._lock:
            return Timeline(
                firmware=self._firmware,
                phases=self._tracker.phases(),
                stalled=self.phase().name if self.stalled else "",
                marks=tuple(sorted(self._marks, key=lambda mark: mark.line)),
            )

    def findings(self) -> list[Finding]:
        """Marks that are errors, and required lines that did not come."""
        with self._lock:
            errors = [mark for mark in self._marks if mark.rule in self._errors]
            found = [Finding(f"no {name} on the console", self._shown(name, errors)) for name in _names(errors)]
            missing = [
                Finding(f"a line of the console matches {required.pattern!r}: {required.says}", "there is none")
                for required in self._required
            ]
        return found + missing

    def _shown(self, name: str, marks: Iterable[Mark]) -> str:
        mine = [mark for mark in marks if mark.rule == name]
        lines = [f"line {mark.line}: {mark.text}" for mark in mine]
        return "\n".join([f"{name}: {mine[0].reason}", *lines])

    def on_screen(self, text: Iterable[str]) -> list[str]:
        """What rules that end a boot find in the text of a screen: firmware may have no other place to speak."""
        return [f"the screen says: {line} ({rule.id}: {rule.says})" for rule, line in self._ends_on(text)]

    def _ends_on(self, text: Iterable[str]) -> list[tuple[Rule, str]]:
        ending = [each for each in self._rules if each.rule.ends and not each.rule.most]
        return [(each.rule, line.strip()) for line in text for each in ending if each.hits(line.strip())]


def _names(marks: Iterable[Mark]) -> list[str]:
    return list(dict.fromkeys(mark.rule for mark in marks))
