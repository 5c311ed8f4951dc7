"""The rules of the house, as tests: style, types, scripts, sizes, arrows between packages, no mirror's name."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pipeline/goldsmith"
BIN = Path(sys.executable).parent
LONGEST_MODULE = 400

#: packages and modules from the bottom up; one may import itself and what lies below, never its neighbours or above
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("settings",),
    ("host",),
    ("recipe",),
    ("boot", "store"),
    ("images",),
    ("bake", "verify", "publish", "render"),
    ("doctor", "inspection", "testing"),
    ("commands",),
    ("cli", "pytest_plugin"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def _run(*argv: str | Path, **environment: str) -> None:
    words = [str(word) for word in argv]
    path = f"{BIN}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": path, "HOME": "/nonexistent", **environment},
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def _files(*suffixes: str) -> list[Path]:
    """Files of the tree as it would be committed: tracked or new, and not ignored."""
    argv = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    found = [ROOT / name for name in names if name]
    return [path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes)]


def test_ruff_is_content() -> None:
    _run(BIN / "ruff", "check", "--no-cache", "pipeline", "tests")


def test_code_is_formatted() -> None:
    _run(BIN / "ruff", "format", "--no-cache", "--check", "--diff", "pipeline", "tests")


def test_types_hold() -> None:
    _run(BIN / "mypy", "--strict")


def _shell_scripts() -> list[Path]:
    """Every shell script by its first line, and DIB's environment.d files, which are sourced and have none."""
    found = []
    for path in _files():
        with path.open("rb") as stream:
            first = stream.readline(80)
        if re.match(rb"#!.*\b(ba|da)?sh\b", first) or path.parent.name == "environment.d":
            found.append(path)
    return found


def test_shellcheck_is_content() -> None:
    shellcheck = shutil.which("shellcheck")
    assert shellcheck, "shellcheck is missing: run setup/prepare test"
    scripts = _shell_scripts()
    assert ROOT / "setup/prepare" in scripts
    assert [path for path in scripts if ROOT / "elements" in path.parents]
    # Sourced files set variables for others; DIB's conventions are its linter's business.
    sourced = [path for path in scripts if path.parent.name == "environment.d"]
    # SC1091: what a script sources lies in the image, not here.
    _run(shellcheck, "--exclude=SC1091", *(path for path in scripts if path not in sourced))
    if sourced:
        _run(shellcheck, "--shell=bash", "--exclude=SC1091,SC2034", *sourced)


@pytest.mark.parametrize("folder", ["elements", "pipeline/goldsmith/bake/dib_elements"])
def test_dib_lint_is_content(folder: str) -> None:
    assert any((ROOT / folder).iterdir())
    # Its second folder is that of DIB's own library; it has nothing of ours.
    _run(BIN / "dib-lint", ELEMENTS_DIR=folder, LIB_DIR=folder)


@pytest.mark.parametrize("path", _files(".py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines < LONGEST_MODULE, f"{lines} lines: split it by job"


def _imported(path: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Top-level parts of goldsmith that a module imports: "host" for goldsmith.host.run."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            # Relative imports would hide where an arrow points.
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package.name and len(parts) > 1 and parts[1] != "__version__":
                yield parts[1]


def _wrong_arrows(modules: Iterable[Path], package: Path = PACKAGE) -> list[str]:
    wrong = []
    for path in modules:
        own = path.relative_to(package).parts[0].removesuffix(".py")
        for other in sorted(set(_imported(path, package)) - {own}):
            if LEVEL[other] >= LEVEL[own]:
                wrong.append(f"{path.relative_to(package)} imports {other}")
    return wrong


def test_arrows_point_one_way() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert len(modules) > 20
    assert _wrong_arrows(modules) == []


@pytest.mark.parametrize(
    ("place", "statement", "wrong"),
    [
        ("host/a.py", "from goldsmith.recipe.model import Recipe", True),
        ("store/a.py", "from goldsmith import boot", True),
        ("bake/a.py", "def f():\n    import goldsmith.cli", True),
        (
            "verify/a.py",
            "import goldsmith.boot.lab\nfrom goldsmith.host import run\nfrom goldsmith import __version__",
            False,
        ),
    ],
)
def test_arrows_are_seen(tmp_path: Path, place: str, statement: str, wrong: bool) -> None:
    module = tmp_path / "goldsmith" / place
    module.parent.mkdir(parents=True)
    module.write_text(statement)
    assert bool(_wrong_arrows([module], tmp_path / "goldsmith")) is wrong


def test_only_settings_read_the_environment() -> None:
    readers = [path.name for path in PACKAGE.rglob("*.py") if re.search(r"os\.(environ|getenv)\b", path.read_text())]
    # run.py hands the environment on to a subprocess and looks at nothing in it.
    assert set(readers) <= {"settings.py", "run.py"}


def _registry_hosts() -> set[str]:
    """Host names of package mirrors and indexes, as this host's apt and pip know them."""
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    urls = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    config = subprocess.run(
        [BIN / "python", "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    urls += re.findall(r"[a-z+]+://[^\s'\"]+", config)
    from pip._internal.models import index

    hosts = {urlsplit(url).hostname or "" for url in urls}
    return {host for host in hosts | {index.PyPI.netloc, index.PyPI.file_storage_domain} if "." in host}


def _naming(files: Iterable[Path], hosts: Iterable[str]) -> list[str]:
    pattern = re.compile("|".join(re.escape(host) for host in sorted(hosts)).encode(), re.IGNORECASE)
    return [f"{path}: {match.group().decode()}" for path in files if (match := pattern.search(path.read_bytes()))]


def test_no_mirror_is_named() -> None:
    hosts = _registry_hosts()
    # pip's own default at the least: a search for nothing would find nothing.
    assert hosts
    assert _naming(_files(), hosts) == []


def test_a_named_mirror_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("deb https://Packages.Mirror.example/debian trixie main")
    (tmp_path / "b").write_text("nothing")
    found = _naming([tmp_path / "a", tmp_path / "b"], {"packages.mirror.example", "other.example"})
    assert found == [f"{tmp_path}/a: Packages.Mirror.example"]
