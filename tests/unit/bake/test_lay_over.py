"""Elements over a small tree, in a real chroot: what scripts see, what stays and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from bake_help import add_program

from goldsmith.bake.lay_over import lay_over
from goldsmith.bake.layers import split
from goldsmith.errors import CommandFailedError, ExitCode, HarnessError
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.store.manifest import PackageFact
from workplace import Workplace, workplace

PROGRAMS = ("bash", "sh", "env", "cat", "mkdir", "rm", "tar", "cp", "mv", "ln")
#: as run.sh asks it
DPKG_QUERY = "#!/bin/sh\nprintf 'ii \\tbash\\t5.2\\tamd64\\nrc \\tgone\\t1\\tall\\n'\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = tmp_path / "root"
    for name in ("bin", "sbin", "lib", "lib64", "local/bin"):
        (tree / "usr" / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    for program in PROGRAMS:
        add_program(tree, program)
    (tree / "usr/bin/dpkg-query").write_text(DPKG_QUERY)
    (tree / "usr/bin/dpkg-query").chmod(0o755)
    for folder in ("etc", "var/log/apt", "root", "tmp"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/resolv.conf").write_text("of the tree\n")
    (tree / "var/log/apt/term.log").write_text("of the build\n")
    (tree / "root/install.log").write_text("of the build\n")
    return tree


class Bench:
    def __init__(self, work: Workplace, jail: Jail, root: Path) -> None:
        self.work, self.jail, self.root = work, jail, root
        self.log = work.root / "logs/elements.log"

    def lay(self, *elements: str, more: str = "", variables: str = "") -> tuple[PackageFact, ...]:
        plan = self.work.plan(*elements, more=more)
        scratch = self.work.root / "scratch"
        scratch.mkdir()
        return lay_over(
            self.jail,
            plan,
            split(plan, self.work.settings),
            self.root,
            scratch,
            variables=variables,
            given={"DIB_DISTRIBUTION_MIRROR": "http://mirror.example/debian"},
            log_file=self.log,
            progress=Progress(quiet=True),
        )

    def read(self, name: str) -> str:
        return (self.root / name).read_text()


@pytest.fixture
def bench(tmp_path: Path, jail: Jail, root: Path) -> Bench:
    return Bench(workplace(tmp_path), jail, root)


def test_phases_static_files_and_cleanup_in_dibs_order(bench: Bench) -> None:
    bench.work.element(
        "a",
        pre_install_d="echo pre >> /etc/order\n",
        install_d="echo install >> /etc/order; cat /etc/of-a >> /etc/order\n",
        post_install_d="echo post >> /etc/order\n",
        finalise_d="echo finalise >> /etc/order\n",
        cleanup_d='echo cleanup >> "$TARGET_ROOT/etc/order"\n',
    )
    bench.work.write("elements/a/element-deps", "install-static\n")
    bench.work.write("elements/a/static/etc/of-a", "static\n")
    bench.work.element("b", post_install_d="echo post of b >> /etc/order\n")
    assert bench.lay("a", "b") == (PackageFact(name="bash", version="5.2", architecture="amd64"),)
    said = bench.read("etc/order").splitlines()
    assert said == ["pre", "install", "static", "post", "post of b", "finalise", "cleanup"]


def test_scripts_see_the_systems_and_the_variables_of_a_build(bench: Bench) -> None:
    see = 'echo "$DIB_RELEASE $DIB_OF_BASE $DIB_OF_MINE $DIB_OF_FILE $DIB_DISTRIBUTION_MIRROR" > '
    bench.work.element(
        "a",
        install_d=f"""\
            test -e /proc/self/status
            test -e /sys/kernel
            test -c /dev/null
            {see} /etc/inside
            cat /etc/resolv.conf > /etc/resolver
            """,
        cleanup_d=f'{see} "$TARGET_ROOT/etc/outside"\n',
    )
    bench.work.write("elements/a/environment.d/10-a.bash", "export DIB_OF_FILE=${DIB_OF_MINE}!\n")
    bench.lay("a", more="environment: {DIB_OF_MINE: mine}\n", variables='declare -x DIB_OF_BASE="base"\n')
    assert bench.read("etc/inside") == "trixie base mine mine! http://mirror.example/debian\n"
    assert bench.read("etc/outside") == bench.read("etc/inside")
    assert bench.read("etc/resolver") == Path("/etc/resolv.conf").read_text()


def test_nothing_of_the_work_stays(bench: Bench) -> None:
    (bench.root / "usr/local/bin/install-packages").touch()
    bench.work.element(
        "a",
        install_d="echo 1 > /tmp/left\n",
        # as generalize does it
        cleanup_d='for tool in "$TMP_HOOKS_PATH"/bin/*; do rm -f "$TARGET_ROOT/usr/local/bin/${tool##*/}"; done\n',
    )
    bench.lay("a")
    assert list((bench.root / "tmp").iterdir()) == []
    assert list((bench.root / "proc").iterdir()) == list((bench.root / "dev").iterdir()) == []
    assert bench.read("etc/resolv.conf") == "of the tree\n"
    assert not (bench.root / "etc/resolv.conf.ORIG").exists()
    assert bench.read("var/log/apt/term.log") == ""
    assert not (bench.root / "root/install.log").exists()
    assert not (bench.root / "usr/local/bin/install-packages").exists()


def test_a_link_that_a_script_makes_of_resolv_conf_stays(bench: Bench) -> None:
    bench.work.element("a", install_d="ln -sf /run/resolve/stub /etc/resolv.conf\n")
    bench.lay("a")
    assert (bench.root / "etc/resolv.conf").readlink() == Path("/run/resolve/stub")
    assert not (bench.root / "etc/resolv.conf.ORIG").exists()


@pytest.mark.parametrize("phase", ["install_d", "cleanup_d"])
def test_a_script_that_fails_is_shown_with_its_words(bench: Bench, phase: str) -> None:
    bench.work.element("a", **{phase: "echo 'no such mirror' >&2; exit 7\n"})
    with pytest.raises(CommandFailedError) as caught:
        bench.lay("a")
    assert caught.value.exit_code == ExitCode.HOST
    assert "no such mirror" in caught.value.tail
    assert str(bench.log) in (caught.value.hint or "")
    assert "no such mirror" in bench.log.read_text()
    # The mounts are gone with the jail at the latest; here they are gone at once, or mke2fs would copy them.
    assert list((bench.root / "proc").iterdir()) == []


def test_a_tree_without_a_list_of_packages(bench: Bench) -> None:
    (bench.root / "usr/bin/dpkg-query").write_text("#!/bin/sh\n")
    bench.work.element("a", install_d="true\n")
    with pytest.raises(HarnessError, match="no package manager"):
        bench.lay("a")
