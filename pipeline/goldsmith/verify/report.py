"""What a verification came to: for programs as JSON, for people as a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from goldsmith.errors import CheckFailedError, HarnessError, InputError
from goldsmith.store.manifest import Firmware, Manifest, Status, Verdict
from goldsmith.verify.left import Left
from goldsmith.verify.timeline import Timeline

_MARKS: dict[Status, str] = {"pass": "ok", "fail": "FAIL", "broken": "BROKEN"}


class Report(BaseModel):
    """All verdicts about one image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="The recipe's name; empty where there is none")
    image: str
    sha256: str
    accelerator: str = Field(description="kvm or tcg, and why")
    channel: str = Field(default="", description="How commands got into the guest, and why; empty without a boot")
    firmware: tuple[Firmware, ...]
    complete: bool = Field(description="All checks were asked for, not a selection")
    verdicts: tuple[Verdict, ...]
    left: tuple[Left, ...] = Field(default=(), description="What each boot left on its disk")
    timelines: tuple[Timeline, ...] = Field(default=(), description="The course of each boot")
    seconds: float
    finished: str = Field(default="", description="When, in UTC, as 2026-01-31T12:00:00Z")
    properties: dict[str, str] = Field(default={}, description="Glance properties that the recipe gives the image")

    @property
    def title(self) -> str:
        """What people call the image."""
        return self.name or Path(self.image).name

    def with_status(self, status: Status) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.status == status]

    @property
    def status(self) -> Status:
        """fail before broken before pass; without a verdict nothing was proven, which is broken."""
        if self.with_status("fail"):
            return "fail"
        return "broken" if self.with_status("broken") or not self.verdicts else "pass"


def require_pass(report: Report) -> None:
    """Raise CheckFailedError where a check failed, else HarnessError where one could not be evaluated."""
    if report.status == "pass":
        return
    bad = report.with_status(report.status)
    names = ", ".join(sorted({verdict.name for verdict in bad})) or "no check was evaluated"
    if report.status == "fail":
        raise CheckFailedError(f"{len(bad)} checks failed: {names}", where=report.image)
    raise HarnessError(f"{len(bad)} checks could not be evaluated: {names}", where=report.image)


def attached(manifest: Manifest, report: Report) -> Manifest:
    """The manifest with the report's verdicts.  Raises InputError where they are not all, or about another image."""
    if not report.complete:
        raise InputError("only some checks were run, which proves nothing of an image", where=report.image)
    if report.sha256 != manifest.sha256:
        raise InputError("the verdicts are about another image than the manifest", where=report.image)
    return manifest.model_copy(update={"verdicts": report.verdicts})


def as_text(report: Report) -> str:
    """A line for each verdict; below what did not pass, why, and how to repeat it."""
    width = max((len(verdict.name) for verdict in report.verdicts), default=0)
    lines = [line for verdict in report.verdicts for line in _lines(verdict, width)]
    counts = [
        f"{len(found)} {word}"
        for status, word in (("pass", "passed"), ("fail", "failed"), ("broken", "broken"))
        if (found := report.with_status(status))  # type: ignore[arg-type]
    ]
    summary = f"{', '.join(counts) or 'no checks'} in {report.seconds:.0f} s ({report.accelerator})"
    courses = [_course(timeline) for timeline in report.timelines if timeline.phases or timeline.stalled]
    changes = [
        f"{each.firmware}: left {each.added_count} new names on the disk and took {each.removed_count} away"
        for each in report.left
    ]
    channel = [f"guest channel by {report.channel}"] if report.channel else []
    return "\n".join([*lines, *courses, *changes, *channel, summary]) + "\n"


def _course(timeline: Timeline) -> str:
    phases = [
        f"{each.name} {f'from {each.began:.1f} s on' if each.seconds is None else f'{each.seconds:.1f} s'}"
        for each in timeline.phases
    ]
    marks = [f"marked on the console: {len(timeline.marks)}"] if timeline.marks else []
    stalled = [f"stalled in {timeline.stalled}"] if timeline.stalled else []
    return f"{timeline.firmware}: {', '.join([*phases, *stalled, *marks])}"


def _lines(verdict: Verdict, width: int) -> Iterator[str]:
    mark = _MARKS[verdict.status]
    place = f"{verdict.layer:<8} {verdict.firmware or '-':<4}"
    yield f"{mark:>6} {place} {verdict.name:<{width}}  {verdict.says} [{verdict.seconds:.1f} s]"
    if verdict.status == "pass":
        return
    yield from _indented("expected", verdict.expected)
    yield from _indented("seen" if verdict.status == "fail" else "because", verdict.seen)
    yield from _indented("console", "\n".join(verdict.console))
    yield from _indented("repeat", verdict.repeat)


def _indented(label: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines()):
        yield f"{'':7}{label + ':' if number == 0 else '':<10}{line}"
