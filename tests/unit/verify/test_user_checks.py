from __future__ import annotations

from pathlib import Path

import pytest

from goldsmith.errors import ExitCode, InputError
from goldsmith.verify.model import parse_all
from goldsmith.verify.user_checks import load, load_all

GOOD = """\
checks:
  - id: ssh-runs
    says: the ssh server runs
    service: {name: ssh, state: enabled, active: true}
  - id: motd
    says: the message of the day is ours
    layers: [live, offline]
    file: {path: /etc/motd, content: {contains: "${not a parameter}"}}
"""


def written(folder: Path, text: str | bytes, name: str = "my-checks.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(*paths: Path, elements: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_all(paths, elements)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    return [str(problem).replace(str(paths[0].parent), "") for problem in caught.value.problems]


def test_a_file_is_read_as_checks_of_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    found = load(path)
    assert [(each.element, each.id, each.source) for each in found] == [
        ("my-checks", "ssh-runs", path),
        ("my-checks", "motd", path),
    ]
    bound = parse_all(found)
    assert [each.name for each in bound] == ["my-checks/ssh-runs", "my-checks/motd"]
    assert bound[0].check.where == ("live",)
    assert bound[1].check.where == ("live", "offline")
    assert bound[1].check.file is not None
    assert bound[1].check.file.content is not None
    assert bound[1].check.file.content.contains == ("${not a parameter}",)


def test_all_problems_come_at_once_with_their_places(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
checkz: []
checks:
  - id: a-check
    says: it is as it should be
    file: {pathh: /x}
  - just text
  - says: it has no name at all
    command: {run: "true"}
  - id: a-check2
    says: it is as it should be
    when: ${parameter}
    port: {port: 99999}
  - id: same
    says: it is as it should be
    mount: {path: /}
  - id: same
    says: it is as it should be
    service: {name: ssh, active: true}
    layers: offline
  - id: same
    says: it is as it should be
    address: {device: first, present: [10.0.0.1]}
""",
    )
    assert problems(path) == [
        "/my-checks.yaml: checkz: is not known here, did you mean `checks`",
        "/my-checks.yaml: checks[0].file.path: Field required",
        "/my-checks.yaml: checks[0].file.pathh: is not known here, did you mean path",
        "/my-checks.yaml: checks[1]: must be a mapping with id, says and one assertion",
        "/my-checks.yaml: checks[2].id: Field required",
        "/my-checks.yaml: checks[3].when: goes with an element's parameters, and this file has none",
        "/my-checks.yaml: checks[3].port.port: Input should be less than or equal to 65535",
        "/my-checks.yaml: checks[5]: layers: not in offline: only a running system has active units",
        "/my-checks.yaml: checks[6].id: two checks have the id `same`",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping with the key `checks`"),
        ("- a\n- b\n", "must be a mapping with the key `checks`"),
        ("checks:\n", "checks: must be a list of checks, at least one"),
        ("checks: []\n", "checks: must be a list of checks, at least one"),
        ("checks: {id: x}\n", "checks: must be a list of checks, at least one"),
        ("checks: [", "line 1"),
        (b"\xff\xfe", "is not UTF-8"),
        ("checks:\n- {id: x, id: y}\n", "duplicate key"),
    ],
)
def test_files_that_are_no_checks(tmp_path: Path, text: str | bytes, message: str) -> None:
    found = problems(written(tmp_path, text))
    assert any(message in each for each in found), found


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "nothing.yaml")[0]
    (tmp_path / "folder.yaml").mkdir()
    assert "is a folder" in problems(tmp_path / "folder.yaml")[0]


def test_names_that_others_have(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one, two = written(tmp_path, GOOD), written(tmp_path / "b", GOOD)
    assert "has the name of " in problems(one, two)[0]
    assert "`my-checks` is the name of other checks, rename the file" in problems(one, elements=("my-checks",))[0]
    assert "is the name of other checks" in problems(written(tmp_path, GOOD, "goldsmith.yaml"))[0]
    assert "has characters other than" in problems(written(tmp_path, GOOD, "my checks.yaml"))[0]
    assert len(load_all([one, written(tmp_path, GOOD, "others.yml")])) == 4


def test_the_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    one, two = written(tmp_path, "checks: []\n", "one.yaml"), written(tmp_path, "x: 1\n", "two.yaml")
    assert [each.split(":")[0] for each in problems(one, two)] == ["/one.yaml", "/two.yaml", "/two.yaml"]
