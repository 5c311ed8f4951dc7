"""Each rule of residue fires on each of its paths, shows nothing of a file, and is silent where it should be."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from residue_samples import CLEAN, FOUL

from goldsmith.errors import InputError
from goldsmith.verify.evaluate import findings
from goldsmith.verify.kinds.residue import ResidueAssertion
from goldsmith.verify.model import parse
from goldsmith.verify.residue.rules import SEVERITIES, Rule, all_rules, read_rules, selected
from goldsmith.verify.residue.search import Residue, printable, search
from goldsmith.verify.tree import FolderTree

RULES = {rule.id: rule for rule in all_rules()}
PATHS = [(rule, path) for rule in all_rules() for path in rule.paths]

#: what a system holds that is clean
CLEAN_TREE = {
    "etc/machine-id": "",
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
    "etc/shadow": "root:*:20000:0:99999:7:::\n",
    "etc/hosts": CLEAN["hosts"][0],
    "etc/environment": CLEAN["proxies"][1],
    "etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example/debian\n",
    "etc/ssh/sshd_config": "PasswordAuthentication no\n",
    "var/log/dpkg.log": "",
    "var/log/wtmp": "",
    "var/lib/cloud/scripts/per-boot/.keep": "",
    "root/.bashrc": "alias ll='ls -l'\n",
    "root/.profile": "umask 022\n",
    "var/cache/debconf/config.dat": "Name: x\n",
}


def write(root: Path, path: str, content: str = "words\n") -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(content)
    return file


def concrete(glob: str, home: str = "/root") -> str:
    """A path that a glob matches."""
    path = f"{home}/{glob[2:]}" if glob.startswith("~/") else glob
    return path.replace("**", "deep/er").replace("[op]", "p").replace("[0-9]", "4").replace("*", "x")


def found(root: Path, *rules: Rule) -> list[Residue]:
    return search(FolderTree(root), rules or all_rules())


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    for path, content in CLEAN_TREE.items():
        write(tmp_path, path, content)
    (tmp_path / "var/lib/dbus").mkdir(parents=True)
    (tmp_path / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    return tmp_path


def test_a_clean_tree_has_none(clean: Path) -> None:
    assert found(clean) == []


@pytest.mark.parametrize(("rule", "glob"), PATHS, ids=lambda each: each if isinstance(each, str) else each.id)
def test_each_path_of_each_rule_matters(rule: Rule, glob: str, clean: Path) -> None:
    path = concrete(glob)
    texts = FOUL.get(rule.id, ("words\n",))
    write(clean, path, texts[0])
    hits = [each for each in found(clean, rule) if each.path == path]
    assert hits
    assert not any(text in str(each) for text in ("c2VjcmV0", "words\n", "secret-words") for each in hits)


@pytest.mark.parametrize(
    ("rule", "text"), [(rule, text) for rule, texts in FOUL.items() for text in texts], ids=lambda text: repr(text)[:50]
)
def test_each_foul_text_is_found(rule: str, text: str, tmp_path: Path) -> None:
    write(tmp_path, concrete(RULES[rule].paths[0]), text)
    assert [each.rule.id for each in found(tmp_path, RULES[rule])] == [rule]


@pytest.mark.parametrize(
    ("rule", "text"),
    [(rule, text) for rule, texts in CLEAN.items() for text in texts],
    ids=lambda text: repr(text)[:50],
)
def test_no_clean_text_is_found(rule: str, text: str, tmp_path: Path) -> None:
    for glob in RULES[rule].paths:
        write(tmp_path, concrete(glob), text)
    assert found(tmp_path, RULES[rule]) == []


def test_every_pattern_has_samples() -> None:
    patterns = {rule.id for rule in all_rules() if rule.pattern}
    assert set(FOUL) == set(CLEAN) == patterns


@pytest.mark.parametrize("rule", [rule for rule in all_rules() if rule.nonempty], ids=lambda rule: rule.id)
def test_empty_files_are_no_residue(rule: Rule, tmp_path: Path) -> None:
    for glob in rule.paths:
        write(tmp_path, concrete(glob), "")
    assert found(tmp_path, rule) == []


@pytest.mark.parametrize("rule", [rule for rule in all_rules() if rule.pattern], ids=lambda rule: rule.id)
def test_hostile_files_take_no_time(rule: Rule, tmp_path: Path) -> None:
    """A pattern that backtracks would hang on a file that was made for it."""
    path = concrete(rule.paths[0])
    started = time.monotonic()
    for text in (
        "\n",
        " ",
        "\t\n",
        "a:",
        "a://",
        "x://a:",
        "BEGIN A ",
        "http_proxy ",
        "password ",
        "password=\n",
        "0:.",
    ):
        write(tmp_path, path, (text * 2**20)[: min(2**20, rule.largest or 2**20)])
        found(tmp_path, rule)
    assert time.monotonic() - started < 20


def test_password_says_whose_and_not_which(clean: Path) -> None:
    write(clean, "etc/shadow", "root:$6$salt$hash:1:0:::::\nbin:*:1::::::\nops::1::::::\n")
    assert [str(each) for each in found(clean)] == ["/etc/shadow (root)", "/etc/shadow (ops)"]


@pytest.mark.parametrize(
    ("home", "looked_at"),
    [
        ("/srv/builder", True),
        ("/var/lib/jenkins", True),
        ("/home/deep/er", False),
        ("/usr/games", False),
        ("/var/lib", False),
        ("/", False),
        ("/srv/../etc", False),
        ("/srv/*", False),
        ("relative", False),
    ],
)
def test_homes_of_passwd_are_looked_at(home: str, looked_at: bool, clean: Path) -> None:
    write(clean, "etc/passwd", f"broken line\nbuilder:x:1000:1000::{home}:/bin/sh\n")
    write(clean, f"{home}/.bash_history", "ls\n")
    assert bool(found(clean)) is looked_at


def test_every_home_is_looked_at(clean: Path) -> None:
    for name in ("ann", "bob"):
        write(clean, f"home/{name}/.aws/credentials")
    assert [each.path for each in found(clean)] == ["/home/ann/.aws/credentials", "/home/bob/.aws/credentials"]


def test_the_same_file_under_two_names_is_one(clean: Path) -> None:
    write(clean, "var/mail/root")
    (clean / "var/spool").mkdir()
    (clean / "var/spool/mail").symlink_to("../mail")
    assert [each.path for each in found(clean)] == ["/var/mail/root"]


def test_links_are_neither_followed_nor_found(clean: Path) -> None:
    outside = write(clean.parent, f"{clean.name}-outside", FOUL["private-keys"][0])
    (clean / "root/.bash_history").symlink_to("/dev/null")
    (clean / "root/key").symlink_to(outside)
    (clean / "var/log/README").symlink_to("../../usr/share/doc/README")
    assert found(clean) == []


def test_a_file_is_one_rules_business(clean: Path) -> None:
    for path in ("var/log/wtmp", "var/log/installer/syslog", "var/log/journal/0123/system.journal"):
        write(clean, path)
    assert [each.rule.id for each in found(clean)] == ["journal", "login-records", "installer"]


def test_hostile_names_cannot_write_to_the_terminal(clean: Path) -> None:
    write(clean, "tmp/\x1b]0;title\x07\nclean")
    (hit,) = found(clean)
    assert str(hit) == r"/tmp/\x1b]0;title\x07\nclean"
    assert printable("ü\u202e") == r"ü\u202e"


def test_rules_are_sound() -> None:
    assert len(RULES) == len(all_rules())
    assert {rule.severity for rule in all_rules()} == set(SEVERITIES)
    assert list(dict.fromkeys(rule.severity for rule in all_rules())) == list(SEVERITIES)


def test_rules_are_selected() -> None:
    assert {rule.severity for rule in selected(severity="identity")} == {"identity"}
    assert "logs" not in {rule.id for rule in selected(ignore=["logs"])}
    with pytest.raises(InputError, match=r"no residue rule `log`\n  hint: did you mean `logs`"):
        selected(ignore=["log"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: []", "at least 1 item"),
        ("rules: [{id: a, what: thing, says: it matters, severity: worst, paths: [/x]}]", "severity: Input should be"),
        ("rules: [{id: a, what: thing, says: it matters, severity: trace, paths: [x]}]", "should match pattern"),
        ("rules: [{id: a, what: thing, says: it matters, severity: trace, paths: [/x], patern: y}]", "not permitted"),
        ("rules: [{id: a, what: thing, says: it matters, severity: trace, paths: [/x], pattern: '('}]", "no.* regular"),
        (
            "rules: [{id: a, what: thing, says: it matters, severity: trace, paths: [/x], pattern: '(?P<key>.)'}]",
            "never shown",
        ),
        (
            "rules: [{id: a, what: thing, says: it matters, severity: trace, paths: [/x], largest: 3}]",
            "goes with pattern",
        ),
        (
            "rules:\n" + "- {id: a, what: thing, says: it matters, severity: trace, paths: [/x]}\n" * 2,
            "two rules have this id",
        ),
    ],
)
def test_wrong_rules_are_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        read_rules(write(tmp_path, "rules.yaml", text))


def test_the_assertion_names_rule_and_path(clean: Path) -> None:
    write(clean, "etc/hostname", "build-host\n")
    write(clean, "var/log/dpkg.log")
    tree = FolderTree(clean)
    assert [(f.expected, f.seen) for f in findings(ResidueAssertion(), tree)] == [
        ("no host name (hostname)", "/etc/hostname"),
        ("no log file (logs)", "/var/log/dpkg.log"),
    ]
    assert len(findings(ResidueAssertion(severity="trace"), tree)) == 1
    assert findings(ResidueAssertion(severity="secret"), tree) == []
    assert findings(ResidueAssertion(ignore=("hostname", "logs")), tree) == []


def test_the_assertion_is_for_images_as_baked() -> None:
    bound = parse("x", "y", {"id": "y", "says": "nothing is left", "residue": {}})
    assert bound.check.where == ("offline",)
    with pytest.raises(InputError, match="residue is evaluated in offline"):
        parse("x", "y", {"id": "y", "says": "nothing is left", "residue": {}, "layers": ["shutdown"]})
    with pytest.raises(InputError, match="no residue rule `hostnam`, did you mean `hostname`"):
        parse("x", "y", {"id": "y", "says": "nothing is left", "residue": {"ignore": ["hostnam"]}})
