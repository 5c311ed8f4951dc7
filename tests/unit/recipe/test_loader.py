"""Loading: all problems at once, each with file, path and suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
from recipe_help import Workplace, problems_of

from goldsmith.errors import ExitCode, InputError
from goldsmith.recipe.loader import load


@pytest.mark.usefixtures("networkd")
def test_a_good_recipe(work: Workplace) -> None:
    recipe = work.load(
        """
        elements:
          - cloud-init
          - networkd: {addresses: [{interface: ens4, address: 10.20.0.5/24}]}
        environment: {DIB_X: "1"}
        packages: [htop]
        disk: {size: 5GiB, firmware: [uefi]}
        mirror: {url: "http://mirror.example/debian", keep: true}
        properties: {os_type: linux}
        publish: {name: Test, visibility: shared}
        """
    )
    assert recipe.source == work.root / "recipe.yaml"
    assert [use.name for use in recipe.elements] == ["cloud-init", "networkd"]
    assert recipe.elements[1].parameters == {"addresses": [{"interface": "ens4", "address": "10.20.0.5/24"}]}
    assert recipe.disk.size == 5 * 2**30
    assert recipe.mirror is not None
    assert recipe.mirror.keep


@pytest.mark.usefixtures("networkd")
def test_unknown_parameter_in_the_words_of_the_contract(work: Workplace) -> None:
    (problem,) = work.problems("elements: [{networkd: {adress: []}}]\n")
    assert problem.file == str(work.root / "recipe.yaml")
    assert problem.path == "elements[0].networkd.adress"
    assert problem.message == "unknown parameter `adress`"
    assert problem.suggestion == "did you mean `addresses`"


#: why it matters how an os_type is written
WHY = "nova compares the raw string, and gives all but `windows` the clock of a Linux"


@pytest.mark.usefixtures("networkd")
@pytest.mark.parametrize(
    ("text", "path", "message", "suggestion"),
    [
        ("elemnts: []", "elemnts", "unknown key `elemnts`", "did you mean `elements`"),
        ("extend: x.yaml", "extend", "unknown key `extend`", "did you mean `extends`"),
        ("disk: {sise: 4GiB}", "disk.sise", "unknown key `sise`", "did you mean `size`"),
        (
            "disk: {size: 4GB}",
            "disk.size",
            "`4GB` is not a size: a whole number of MiB, GiB or TiB",
            "did you mean `4GiB`",
        ),
        ("disk: {size: 4}", "disk.size", "must be a size with its unit, found the number 4", "write 4GiB"),
        (
            "disk: {firmware: [uefy]}",
            "disk.firmware[0]",
            "must be one of `bios`, `uefi`, found the string `uefy`",
            "did you mean `uefi`",
        ),
        ("disk: {firmware: []}", "disk.firmware", "must not be empty", None),
        ("disk: {firmware: [bios, bios]}", "disk.firmware", "`bios` is there twice", None),
        ("disk: {firmware: bios}", "disk.firmware", "must be a list, found the string `bios`", None),
        ("disk: 4GiB", "disk", "must be a mapping, found the string `4GiB`", None),
        ("elements: networkd", "elements", "must be a list, found the string `networkd`", None),
        ("elements: [networkdd]", "elements[0]", "unknown element `networkdd`", "did you mean `networkd`"),
        (
            "elements: [networkd, networkd]",
            "elements[1]",
            "the element `networkd` is there twice",
            "it is at elements[0] already",
        ),
        ("elements: [debian-minimal]", "elements[0]", "`debian-minimal` comes with the base", "leave it out"),
        (
            "elements: [{networkd: null, policy: strip}]",
            "elements[0]",
            "an element is one key, found several: `networkd`, `policy`",
            "indent the parameters of `networkd` deeper than its name",
        ),
        (
            "elements: [{networkd: strip}]",
            "elements[0]",
            "the parameters of `networkd` must be a mapping, found the string `strip`",
            "write {networkd: {PARAMETER: VALUE}}",
        ),
        (
            "elements: [[networkd]]",
            "elements[0]",
            "an element is a name, or one name with its parameters, found a list",
            None,
        ),
        (
            "elements: [{networkd: {policy: metrc}}]",
            "elements[0].networkd.policy",
            "must be one of `strip`, `metric`, found the string `metrc`",
            "did you mean `metric`",
        ),
        (
            "elements: [{networkd: {link: 3}}]",
            "elements[0].networkd.link",
            "must be a string or null, found the number 3",
            "put the value in quotes",
        ),
        (
            "elements: [{networkd: {ipv6: 'yes'}}]",
            "elements[0].networkd.ipv6",
            "must be true or false, found the string `yes`",
            None,
        ),
        (
            "elements: [{networkd: {addresses: [{interface: a}]}}]",
            "elements[0].networkd.addresses[0]",
            "key `address` is missing",
            None,
        ),
        (
            "elements: [{networkd: {addresses: [{interface: 'a b', address: c}]}}]",
            "elements[0].networkd.addresses",
            "`a b=c` holds ' ', which separates the items",
            None,
        ),
        ("elements: [{cloud-init: {a: 1}}]", "elements[0].cloud-init.a", "unknown parameter `a`", None),
        ("packages: [htop, htop]", "packages", "`htop` is there twice", None),
        ("packages: ['a b']", "packages[0]", "`a b` is not the name of a package", None),
        (
            "environment: {PATH: x}",
            "environment.PATH",
            "`PATH` is not a variable of diskimage-builder: only DIB_... may be set",
            None,
        ),
        (
            "environment: {DIB_X: 1}",
            "environment.DIB_X",
            "must be a string, found the number 1",
            "put the value in quotes",
        ),
        (
            "environment: {DIB_X: yes}",
            "environment.DIB_X",
            "must be a string, found the boolean true",
            "put the value in quotes",
        ),
        ("environment: [DIB_X]", "environment", "must be a mapping, found a list", None),
        ("properties: {hw_x: 1}", "properties.hw_x", "must be a string, found the number 1", 'quote it: "1"'),
        ("properties: {hw_x: true}", "properties.hw_x", "must be a string, found the boolean true", 'quote it: "true"'),
        ("properties: {hw_x: }", "properties.hw_x", "must be a string, found nothing", None),
        (
            "properties: {os_type: Windows}",
            "properties.os_type",
            f"os_type must be exactly `linux` or `windows`, found `Windows`: {WHY}",
            "did you mean `windows`",
        ),
        (
            "properties: {os_type: freebsd}",
            "properties.os_type",
            f"os_type must be exactly `linux` or `windows`, found `freebsd`: {WHY}",
            None,
        ),
        (
            "mirror: {url: mirror.example}",
            "mirror.url",
            "`mirror.example` is not an http or https URL",
            "write it as http://HOST/PATH",
        ),
        ("mirror: {keep: true}", "mirror.url", "`url` is missing", None),
        (
            "mirror: {url: 'http://mirror.example', keep: 'yes'}",
            "mirror.keep",
            "must be true or false, found the string `yes`",
            None,
        ),
        (
            "publish: {protected: 'no'}",
            "publish.protected",
            "must be true or false, found the string `no`",
            None,
        ),
        ("publish: {tags: [a, b, a]}", "publish.tags", "`a` is there twice", None),
        (
            "publish: {visibility: publc}",
            "publish.visibility",
            "must be one of `private`, `shared`, `community`, `public`, found the string `publc`",
            "did you mean `public`",
        ),
        ("publish: {name: ''}", "publish.name", "must not be empty", None),
        ("name: x", "name", "duplicate key `name` at line 3, column 1", "it is at line 1 already"),
        ("a: [", "", "not valid YAML at line 3, column 5: expected the node content, but found '<stream end>'", None),
    ],
)
def test_one_problem(work: Workplace, text: str, path: str, message: str, suggestion: str | None) -> None:
    (problem,) = work.problems(text)
    assert problem.file == str(work.root / "recipe.yaml")
    assert (problem.path, problem.message, problem.suggestion) == (path, message, suggestion)


@pytest.mark.parametrize(
    ("base", "path", "message", "suggestion"),
    [
        (
            "{distribution: debian, release: trixi}",
            "base.release",
            "debian has no release `trixi` that goldsmith knows",
            "did you mean `trixie`",
        ),
        (
            "{distribution: debian, release: '13'}",
            "base.release",
            "debian has no release `13` that goldsmith knows",
            "did you mean `trixie`",
        ),
        (
            "{distribution: debian, release: sid}",
            "base.release",
            "debian has no release `sid` that goldsmith knows",
            "known: `bookworm`, `bullseye`, `trixie`",
        ),
        (
            "{distribution: debian, release: 13}",
            "base.release",
            "must be a string, found the number 13",
            "put the value in quotes",
        ),
        (
            "{distribution: Debain, release: trixie}",
            "base.distribution",
            "unknown distribution `Debain`",
            "did you mean `debian`",
        ),
        (
            "{distribution: debian, release: trixie, architecture: arm64}",
            "base.architecture",
            "debian cannot be built for `arm64`",
            "did you mean `amd64`",
        ),
        ("{distribution: debian}", "base.release", "`release` is missing", None),
        ("debian", "base", "must be a mapping, found the string `debian`", None),
    ],
)
def test_base(work: Workplace, base: str, path: str, message: str, suggestion: str | None) -> None:
    recipe = work.write("r.yaml", f"name: r\nbase: {base}\n")
    (problem,) = problems_of(lambda: load(recipe, work.settings))
    assert (problem.path, problem.message, problem.suggestion) == (path, message, suggestion)


@pytest.mark.usefixtures("networkd")
def test_all_problems_at_once(work: Workplace) -> None:
    recipe = work.write(
        "r.yaml",
        """
        nam: r
        base: {distribution: debian, release: trixi}
        elements:
          - networkd: {adress: 1, policy: metrc}
          - cloud-init-datasources
          - nothing-like-it-anywhere
        environment: {DIB_T_POLICY: x, FOO: y, DIB_RELEASE: sid}
        disk: {size: 4GB}
        properties: {os_type: Linux, hw_x: 1}
        """,
    )
    with pytest.raises(InputError) as caught:
        load(recipe, work.settings)
    assert caught.value.exit_code is ExitCode.BAD_INPUT
    assert sorted(each.path for each in caught.value.problems) == [
        "base.release",
        "disk.size",
        "elements[0].networkd.adress",
        "elements[0].networkd.policy",
        "elements[2]",
        "environment.DIB_CLOUD_INIT_DATASOURCES",
        "environment.DIB_RELEASE",
        "environment.DIB_T_POLICY",
        "environment.FOO",
        "nam",
        "name",
        "properties.hw_x",
        "properties.os_type",
    ]
    missing = next(each for each in caught.value.problems if each.path == "name")
    assert (missing.message, missing.suggestion) == ("`name` is missing", "did you mean it by `nam`")


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ("- a\n", "a recipe is a mapping, found a list")])
def test_what_is_no_recipe(work: Workplace, text: str, message: str) -> None:
    recipe = work.write("r.yaml", text)
    (problem,) = problems_of(lambda: load(recipe, work.settings))
    assert problem.message == message


class TestExtends:
    PARENT = """
        name: parent
        base: {distribution: debian, release: trixie}
        elements: [cloud-init]
        environment: {DIB_A: "1", DIB_B: "2"}
        packages: [htop, vim]
        mirror: {url: "http://mirror.example/debian"}
        publish: {name: Parent, visibility: shared}
        """

    def child(self, work: Workplace, text: str, extends: str = "../parent.yaml") -> Path:
        work.write("parent.yaml", self.PARENT)
        return work.write("sub/child.yaml", f"extends: {extends}\n{text}")

    def test_mappings_are_merged_and_lists_replaced(self, work: Workplace) -> None:
        text = "name: child\nenvironment: {DIB_B: x}\npackages: [git]\nbase: {release: bookworm}\nmirror: null\n"
        recipe = load(self.child(work, text), work.settings)
        assert (recipe.name, recipe.base.distribution, recipe.base.release) == ("child", "debian", "bookworm")
        assert recipe.environment == {"DIB_A": "1", "DIB_B": "x"}
        assert recipe.packages == ("git",)
        assert [use.name for use in recipe.elements] == ["cloud-init"]
        assert recipe.mirror is None

    def test_names_are_not_inherited(self, work: Workplace) -> None:
        recipe = load(self.child(work, "name: child\n"), work.settings)
        assert (recipe.published_name, recipe.publish.visibility) == ("child", "shared")
        path = self.child(work, "packages: []\n")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert (problem.file, problem.path, problem.message) == (str(path), "name", "`name` is missing")

    def test_a_problem_names_the_file_it_is_in(self, work: Workplace) -> None:
        self.PARENT = self.PARENT.replace("[cloud-init]", "[cloud-innit]").replace("release: trixie", "release: trixi")
        path = self.child(work, "name: child\nenvironment: {DIB_RELEASE: x}\npackages: ['a b']\n")
        found = {each.path: each.file for each in problems_of(lambda: load(path, work.settings))}
        parent = str(path.parent / "../parent.yaml")
        assert found == {
            "elements[0]": parent,
            "base.release": parent,
            "environment.DIB_RELEASE": str(path),
            "packages[0]": str(path),
        }

    def test_a_replaced_mapping_forgets_the_parents_places(self, work: Workplace) -> None:
        path = self.child(work, "name: child\nmirror: 3\n")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert (problem.file, problem.path) == (str(path), "mirror")

    def test_three_generations(self, work: Workplace) -> None:
        self.child(work, "name: child\npackages: [git]\n")
        path = work.write("sub/grandchild.yaml", "extends: child.yaml\nname: grandchild\nenvironment: {DIB_A: z}\n")
        recipe = load(path, work.settings)
        assert recipe.packages == ("git",)
        assert recipe.environment == {"DIB_A": "z", "DIB_B": "2"}

    def test_cycle(self, work: Workplace) -> None:
        a = work.write("a.yaml", "extends: b.yaml\nname: a\n")
        work.write("b.yaml", "extends: c.yaml\nname: b\n")
        work.write("c.yaml", "extends: ./b.yaml\nname: c\n")
        (problem,) = problems_of(lambda: load(a, work.settings))
        assert (problem.file, problem.path) == (str(work.root / "c.yaml"), "extends")
        assert problem.message == "extends itself: b.yaml -> c.yaml -> b.yaml"

    def test_itself(self, work: Workplace) -> None:
        a = work.write("a.yaml", "extends: a.yaml\nname: a\n")
        (problem,) = problems_of(lambda: load(a, work.settings))
        assert problem.message == "extends itself: a.yaml -> a.yaml"

    def test_missing_file(self, work: Workplace) -> None:
        path = self.child(work, "name: child\n", extends="../parnt.yaml")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert (problem.file, problem.path, problem.suggestion) == (str(path), "extends", "did you mean `parent.yaml`")

    def test_folder_is_no_file(self, work: Workplace) -> None:
        path = self.child(work, "name: child\n", extends="..")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert problem.path == "extends"

    def test_number(self, work: Workplace) -> None:
        path = self.child(work, "name: child\n", extends="3")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert problem.message == "must be a string, found the number 3"

    def test_syntax_error_in_the_parent_names_the_parent(self, work: Workplace) -> None:
        self.PARENT = "a: [\n"
        path = self.child(work, "name: child\n")
        (problem,) = problems_of(lambda: load(path, work.settings))
        assert problem.file == str(path.parent / "../parent.yaml")
        assert "line 2, column 1" in problem.message
