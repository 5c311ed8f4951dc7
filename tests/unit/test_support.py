"""README's table of what is proven: made from results, never typed."""

from __future__ import annotations

from pathlib import Path

import pytest

import support

pytest_plugins = ["pytester"]


def _results(**tests: list[dict[str, object]]) -> support.Results:
    return dict(tests)


def _row(results: support.Results, guest: str, firmware: str) -> dict[str, str]:
    head, _, *rows = [line.strip("| ").split(" | ") for line in support.table(results, [guest]).splitlines()]
    (row,) = [row for row in rows if row[1] == firmware.upper()]
    return dict(zip(head, row, strict=True))


def _claim(element: str, firmware: str, passed: bool = True, level: str = support.BOOT) -> dict[str, object]:
    return {**support.claim(element, "debian-13", firmware, level), "passed": passed}


def test_readme_has_the_table_of_the_results_that_are_kept() -> None:
    readme = support.README.read_text()
    assert support.written(readme, support.read(support.KEPT)) == readme, "run: make support"


def test_without_results_nothing_is_proven() -> None:
    assert set(_row({}, "debian-13", "bios").values()) - {"[debian-13](recipes/debian-13.yaml)", "BIOS"} == {"no"}


def test_a_cell_is_as_good_as_its_worst_test() -> None:
    good = _claim("text-console", "bios")
    assert _row(_results(a=[good], b=[good]), "debian-13", "bios")["text-console"] == support.BOOT
    bad = _claim("text-console", "bios", passed=False)
    assert _row(_results(a=[good], b=[bad]), "debian-13", "bios")["text-console"] == "no"
    # The other firmware is another cell.
    assert _row(_results(a=[good]), "debian-13", "uefi")["text-console"] == "no"


def test_files_prove_less_than_a_boot() -> None:
    files = _claim("networkd", "", level=support.FIXTURE)
    assert _row(_results(a=[files]), "debian-13", "uefi")["network"] == support.FIXTURE
    both = _results(a=[files], b=[_claim("networkd", "uefi")])
    assert _row(both, "debian-13", "uefi")["network"] == support.BOOT
    # A boot that failed is not made good by files.
    failed = _results(a=[files], b=[_claim("networkd", "uefi", passed=False)])
    assert _row(failed, "debian-13", "uefi")["network"] == "no"


def test_a_later_run_replaces_what_it_ran_and_keeps_the_rest(tmp_path: Path) -> None:
    results, kept = tmp_path / "build/support.json", tmp_path / "support.json"
    claims = [_claim("networkd", "bios")]
    support.merge(results, {"a": claims, "b": claims})
    support.keep(kept, support.read(results))
    # Takes back what it once proved, in the file that is committed too.
    support.merge(results, {"a": []})
    support.keep(kept, support.read(results))
    assert support.read(kept) == {"b": claims}


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold the lines"):
        support.written("# goldsmith\n", {})


def test_what_tests_claim_is_gathered(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passed, failed and skipped tests, and a broken fixture."""
    results = pytester.path / "support.json"
    monkeypatch.setenv("PYTHONPATH", str(Path(support.__file__).parent))
    conftest = Path(support.__file__).with_name("conftest.py").read_text()
    pytester.makeconftest(f"{conftest}\nsupport.RESULTS = __import__('pathlib').Path({str(results)!r})\n")
    pytester.makeini("[pytest]\nmarkers = fixture_tested: x\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken():
            raise OSError("no")

        def test_passes(proves):
            proves("networkd", "debian-13", "bios")

        def test_fails(proves):
            proves("networkd", "debian-13", "uefi")
            assert 0

        def test_skips(proves):
            proves("generalize", "debian-13", "uefi")
            pytest.skip("not here")

        @pytest.mark.fixture_tested("text-console", "rocky-9", "debian-12")
        def test_files():
            pass

        @pytest.mark.fixture_tested("text-console", "rocky-9")
        def test_breaks(broken):
            pass
        """
    )
    pytester.runpytest_subprocess()
    found = {
        (each["element"], each["guest"], each["firmware"], each["level"], each["passed"])
        for claims in support.read(results).values()
        for each in claims
    }
    assert found == {
        ("networkd", "debian-13", "bios", support.BOOT, True),
        ("networkd", "debian-13", "uefi", support.BOOT, False),
        ("text-console", "rocky-9", "", support.FIXTURE, True),
        ("text-console", "debian-12", "", support.FIXTURE, True),
        ("text-console", "rocky-9", "", support.FIXTURE, False),
    }
