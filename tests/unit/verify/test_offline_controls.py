"""Every offline check of our elements fails on a tree that has none of the fixes and all of the residue."""

from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.settings import PROJECT_ROOT, from_environment
from goldsmith.verify.evaluate import Place, evaluate
from goldsmith.verify.model import BoundCheck, parse_all
from goldsmith.verify.tree import FolderTree

SETTINGS = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
PLAN = make_plan(load(PROJECT_ROOT / "recipes" / "debian-13.yaml", SETTINGS), SETTINGS)
CHECKS = [bound for bound in parse_all(PLAN.checks) if bound.check.file or bound.check.absent or bound.check.residue]


def _spoil(root: Path, check: BoundCheck) -> None:
    """All that an ``absent`` check looks for, and an unexpected text in what a ``file`` check reads."""
    absent = check.check.absent
    wanted = [*(absent.paths if absent else ()), *(content.glob for content in (absent.content if absent else ()))]
    if check.check.file and check.check.file.content:
        wanted.append(check.check.file.path)
    if check.check.residue:
        # tests/unit/verify/test_residue.py has all rules.
        wanted += ["/root/.netrc", "/var/lib/systemd/random-seed", "/root/.bash_history"]
    for pattern in wanted:
        path = root / pattern.lstrip("/").replace("*", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("residue\n")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_it_fails_on_a_spoiled_tree(check: BoundCheck, tmp_path: Path) -> None:
    _spoil(tmp_path, check)
    verdict = evaluate(check, FolderTree(tmp_path), Place("offline", None))
    assert verdict.status == "fail"
    assert verdict.expected
    assert verdict.seen


def test_each_pattern_of_an_absent_check_matters(tmp_path: Path) -> None:
    for check in CHECKS:
        if check.check.absent:
            for index, pattern in enumerate(check.check.absent.paths):
                root = tmp_path / f"{check.element}-{check.id}-{index}"
                path = root / pattern.lstrip("/").replace("*", "x")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("residue\n")
                verdict = evaluate(check, FolderTree(root), Place("offline", None))
                assert verdict.status == "fail", pattern
                assert pattern.rsplit("/", 1)[0].lstrip("/*") in verdict.seen
