"""A user's console rules: what a file may say, and what is refused before anything boots."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from goldsmith.commands import verify as command
from goldsmith.errors import InputError
from goldsmith.verify.console_rules.patterns import Search, refused
from goldsmith.verify.console_rules.phases import all_phases
from goldsmith.verify.console_rules.rules import built_in, with_users


def file(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def test_goldsmiths_own_rules_and_phases_are_well_formed() -> None:
    assert len(built_in().rules) > 20
    names = [spec.name for spec in all_phases()]
    assert len(set(names)) == len(names)
    for index, spec in enumerate(all_phases()):
        assert set(spec.ends) <= set(names[:index]), spec.name


def test_a_file_adds_replaces_and_leaves_out(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        """
        rules:
          - {id: hung-task, pattern: 'blocked for more than 600 seconds', says: ten minutes are too long}
          - {id: agent-dead, pattern: 'agent: fatal', says: our agent died, ends: true}
          - {id: noisy, pattern: 'noise', says: it is noisy, severity: warning, most: 3}
        require:
          - {pattern: 'agent: ready', says: our agent came up}
        ignore:
          - rcu-stall
          - {rule: unit-failed, pattern: 'x\\.service', says: x fails without its hardware}
        """,
    )
    rules = with_users(path)
    by_id = {rule.id: rule for rule in rules.rules}
    assert len(by_id) == len(rules.rules) == len(built_in().rules) + 2 - 1
    assert by_id["hung-task"].says == "ten minutes are too long"
    assert by_id["agent-dead"].ends and by_id["noisy"].most == 3
    assert "rcu-stall" not in by_id
    assert [(each.rule, each.pattern) for each in rules.ignore] == [("unit-failed", r"x\.service")]
    assert [each.says for each in rules.require] == ["our agent came up"]
    assert rules.source == path


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "", "must be a mapping"),
        ("[]", "", "must be a mapping"),
        ("{}", "", "changes nothing"),
        ("patience: {boot: 0}", "patience.boot", "greater than 0"),
        ("patience: {boot: soon}", "patience.boot", "number"),
        ("patience: {bot: 1}", "patience.bot", "Extra inputs"),
        ("patience: {quiet: {GRUBB: 1}}", "patience.quiet.GRUBB", "no phase `GRUBB`"),
        ("patience: {quiet: {GRUB: -1}}", "patience.quiet.GRUB", "greater than 0"),
        ("rules: [", "", "not valid YAML at line"),
        ("rule: []", "rule", "Extra inputs"),
        ("rules: [{id: x, says: long enough}]", "rules[0].pattern", "required"),
        ("rules: [{id: x, pattern: x}]", "rules[0].says", "required"),
        ("rules: [{id: X Y, pattern: x, says: long enough}]", "rules[0].id", "pattern"),
        ("rules: [{id: x, pattern: '(', says: long enough}]", "rules[0].pattern", "is not a regular expression"),
        ("rules: [{id: x, pattern: '', says: long enough}]", "rules[0].pattern", "at least 1"),
        ("rules: [{id: x, pattern: 1, says: long enough}]", "rules[0].pattern", "string"),
        ("rules: [{id: x, pattern: x, says: long enough, severity: fatal}]", "rules[0].severity", "'error'"),
        (
            "rules: [{id: x, pattern: x, says: long enough, severity: warning, ends: true}]",
            "rules[0]",
            "ends goes with",
        ),
        ("rules: [{id: x, pattern: x, says: long enough, most: -1}]", "rules[0].most", "greater"),
        ("rules: [{id: x, pattern: x, says: a b c d}, {id: x, pattern: y, says: a b c d}]", "rules", "two rules"),
        ("require: [{pattern: '[', says: long enough}]", "require[0].pattern", "is not a regular expression"),
        ("require: [login]", "require[0]", "dictionary"),
        ("ignore: [kernel-panik]", "ignore[0].rule", "no rule `kernel-panik`"),
        ("ignore: [{rule: hung-tsk, pattern: x}]", "ignore[0].rule", "no rule `hung-tsk`"),
        ("ignore: [{says: nothing}]", "ignore[0]", "give a rule, a pattern"),
        ("ignore: [{pattern: '(a+)+$'}]", "ignore[0].pattern", "repeats what has several shapes"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        with_users(path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.path) == (str(path), place)
    assert message in problem.message


def test_all_that_is_wrong_is_said_at_once_and_a_near_id_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        with_users(file(tmp_path, "rules: [{id: x, pattern: '(', says: no}]\nmore: 1\n"))
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError, match="1 problem") as caught:
        with_users(file(tmp_path, "ignore: [kernel-panik]"))
    assert "did you mean `kernel-panic`" in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 problem") as caught:
        with_users(tmp_path / "rules.yml")
    assert "no such file" in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a|ab)*",
        "(?:a?b)+",
        "(x*)*y",
        "(a{1,30}){1,30}",
        "(.)\\1",
        "(?=a)b",
        "(?<!a)b",
        "a.*b.*c.*d.*e",
        "a?" * 30 + "a" * 30,
        "(?:a|b1)(?:c|d1)" * 6,
        "(?m)^x",
        "x*",
        "a||b",
        "^",
        "*",
        "(?P<n>x)(?P=n)",
    ],
)
def test_patterns_that_could_take_time_without_end_or_say_nothing(pattern: str) -> None:
    assert refused(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"x",
        r"^\S+ login:",
        r"(?i)error: .* failed",
        r"(?:abc)+",
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}",
        r"a.*b|c.*d|e.*f|g.*h",
    ],
)
def test_patterns_that_are_fine(pattern: str) -> None:
    assert refused(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"abc", "xabcx", "ab c"),
        (r"(?:foo|bar) \d", "a bar 1", "a bar x"),
        (r"(?:foo|f\w)z", "fxz", "fx"),
        (r"a?b", "b", "a"),
        (r"(?i)PANIC", "a panic", "a pani"),
        (r"(?i:PANIC) x", "a panic x", "a panic y"),
        (r"[ab]", "b", "c"),
        (r"x{2}y", "xxy", "xy"),
        (r"(?:ab)?c", "c", "ab"),
        (r"ab|", "anything", None),
        (r"\Aab\.c", "ab.c", "xab.c"),
    ],
)
def test_the_shortcut_of_a_search_changes_nothing(pattern: str, yes: str, no: str | None) -> None:
    assert Search(pattern)(yes)
    assert no is None or not Search(pattern)(no)


def test_the_option_takes_a_file() -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert parser.parse_args(["x.yaml"]).console_rules is None
    assert parser.parse_args(["x.yaml", "--console-rules", "a/b.yaml"]).console_rules == Path("a/b.yaml")


def test_a_file_may_change_how_long_is_waited_and_nothing_else(tmp_path: Path) -> None:
    rules = with_users(file(tmp_path, "patience: {boot: 1800, power-off: 5, quiet: {GRUB: 7}}"))
    own, changed = built_in().patience, rules.patience
    assert (changed.boot, changed.prompt, changed.power_off) == (1800, own.prompt, 5)
    assert (changed.quiet_in("GRUB", 1), own.quiet_in("GRUB", 1)) == (7, 120)
    assert changed.quiet_in("kernel", 1) == own.quiet_in("kernel", 1)
    assert rules.rules == built_in().rules


def test_a_longer_patience_of_one_phase_is_that_of_an_unseen_one(tmp_path: Path) -> None:
    rules = with_users(file(tmp_path, "patience: {quiet: {GRUB: 1200}}"))
    assert rules.patience.quiet_in(None, 1) == 1200
