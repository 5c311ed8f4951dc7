"""`goldsmith verify --console-rules`, with a verification that only pretends."""

from __future__ import annotations

import pytest
from work_standins import World

from goldsmith import cli

Captured = pytest.CaptureFixture[str]


def test_a_users_rules_are_verified_by_and_prove_nothing_for_publishing(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    rules = world.folder / "console.yaml"
    rules.write_text("ignore: [hung-task]\n")
    assert cli.main(["build", recipe]) == 0
    assert cli.main(["verify", recipe, "--console-rules", str(rules)]) == 0
    used = world.verifications[-1]["console_rules"]
    assert used.source == rules
    assert "hung-task" not in {rule.id for rule in used.rules}
    assert not list((world.folder / "cache/proofs").glob("*"))
    assert cli.main(["verify", recipe]) == 0
    assert world.verifications[-1]["console_rules"] is None
    assert list((world.folder / "cache/proofs").glob("*"))


def test_bad_rules_are_refused_before_anything_boots(world: World, capsys: Captured) -> None:
    recipe = world.recipe()
    rules = world.folder / "console.yaml"
    rules.write_text("rules: [{id: x, pattern: '(', says: long enough}]\n")
    assert cli.main(["build", recipe]) == 0
    assert cli.main(["verify", recipe, "--console-rules", str(rules)]) == 2
    assert f"{rules}: rules[0].pattern: is not a regular expression" in capsys.readouterr().err
    assert world.verifications == []
