"""The plan: order, variables, checks and properties."""

from __future__ import annotations

import pytest
from recipe_help import NETWORKD, Workplace, problems_of

from goldsmith.errors import InputError
from goldsmith.recipe.model import Recipe
from goldsmith.recipe.plan import make_plan

DATASOURCES = 'environment: {DIB_CLOUD_INIT_DATASOURCES: "ConfigDrive, OpenStack"}\n'


@pytest.mark.usefixtures("networkd")
def test_elements_keep_the_recipes_order(work: Workplace) -> None:
    work.element("a-first-by-name")
    plan = work.plan("elements: [networkd, cloud-init, a-first-by-name]\n")
    assert plan.dib_elements == ("debian-minimal", "networkd", "cloud-init", "a-first-by-name")
    assert [each.element.name for each in plan.elements] == ["networkd", "cloud-init", "a-first-by-name"]


@pytest.mark.usefixtures("networkd")
def test_parameters_have_defaults_and_become_variables(work: Workplace) -> None:
    plan = work.plan(
        "elements: [{networkd: {addresses: [{interface: ens4, address: 10.0.0.1/24}], ipv6: false}}]\n"
        "environment: {DIB_OTHER: x}\n"
    )
    assert plan.elements[0].parameters == {
        "addresses": [{"interface": "ens4", "address": "10.0.0.1/24"}],
        "policy": "strip",
        "link": None,
        "ipv6": False,
    }
    assert plan.environment == {
        "DIB_T_ADDRESSES": "ens4=10.0.0.1/24",
        "DIB_T_POLICY": "strip",
        "DIB_T_IPV6": "0",
        "DIB_OTHER": "x",
        "DIB_RELEASE": "trixie",
    }


@pytest.mark.usefixtures("networkd")
def test_an_element_that_only_element_deps_bring_in_is_planned_with_its_defaults(work: Workplace) -> None:
    work.write("elements/networkd/checks.yaml", "checks: [{id: a, says: '${policy}'}]\n")
    work.write("elements/user/element-deps", "networkd\n")
    plan = work.plan("elements: [user]\n")
    assert plan.dib_elements == ("debian-minimal", "user")
    assert [each.element.name for each in plan.elements] == ["user", "networkd"]
    assert plan.environment["DIB_T_POLICY"] == "strip"
    assert [(each.element, each.id, each.spec) for each in plan.checks] == [
        ("networkd", "a", {"id": "a", "says": "strip"})
    ]
    assert "element:networkd:parameters" in plan.inputs


def test_required_parameter_of_such_an_element(work: Workplace) -> None:
    work.element(
        "needy", schema="summary: x\nparameters: {type: object, required: [a], properties: {a: {type: string}}}\n"
    )
    work.write("elements/user/element-deps", "needy\n")
    (problem,) = work.problems("elements: [user]\n")
    assert (problem.path, problem.message) == ("elements.needy", "parameter `a` is missing")


class TestVariables:
    def test_missing_variable_of_dibs_own_element(self, work: Workplace) -> None:
        (problem,) = work.problems("elements: [cloud-init-datasources]\n")
        assert problem.path == "environment.DIB_CLOUD_INIT_DATASOURCES"
        assert problem.message.startswith("the element `cloud-init-datasources` needs DIB_CLOUD_INIT_DATASOURCES: ")
        assert problem.suggestion == "add it to environment: {DIB_CLOUD_INIT_DATASOURCES: ...}"

    def test_make_plan_refuses_it_for_a_recipe_made_in_code(self, work: Workplace) -> None:
        recipe = Recipe.model_validate(
            {
                "name": "r",
                "base": {"distribution": "debian", "release": "trixi"},
                "elements": ["cloud-init-datasources"],
            }
        )
        with pytest.raises(InputError) as caught:
            make_plan(recipe, work.settings)
        assert {each.path for each in caught.value.problems} == {
            "base.release",
            "environment.DIB_CLOUD_INIT_DATASOURCES",
        }

    def test_given_variable(self, work: Workplace) -> None:
        plan = work.plan("elements: [cloud-init-datasources]\n" + DATASOURCES)
        assert plan.environment["DIB_CLOUD_INIT_DATASOURCES"] == "ConfigDrive, OpenStack"

    @pytest.mark.parametrize(
        ("given", "suggestion"),
        [
            ("DIB_CLOUD_INIT_DATASOURCES: ''", "it is empty"),
            ("DIB_CLOUD_INIT_DATASOURCE: x", "did you mean it by `DIB_CLOUD_INIT_DATASOURCE`"),
        ],
    )
    def test_nearly_given_variable(self, work: Workplace, given: str, suggestion: str) -> None:
        (problem,) = work.problems(f"elements: [cloud-init-datasources]\nenvironment: {{{given}}}\n")
        assert problem.suggestion == suggestion

    def test_variable_that_an_element_of_the_build_provides(self, work: Workplace) -> None:
        work.write("elements/frugal/environment.d/10-x.bash", "export DIB_CLOUD_INIT_DATASOURCES=OpenStack\n")
        assert work.plan("elements: [cloud-init-datasources, frugal]\n").dib_elements[-1] == "frugal"

    def test_variable_that_a_parameter_sets(self, work: Workplace) -> None:
        schema = NETWORKD.replace("DIB_T_POLICY", "DIB_CLOUD_INIT_DATASOURCES")
        work.element("mine", schema=schema)
        assert work.plan("elements: [cloud-init-datasources, mine]\n")

    def test_variable_of_an_element_that_element_deps_bring_in(self, work: Workplace) -> None:
        work.write("elements/user/element-deps", "modprobe-blacklist\n")
        (problem,) = work.problems("elements: [user]\n")
        assert problem.path == "environment.DIB_MODPROBE_BLACKLIST"

    def test_own_scripts_are_read_too(self, work: Workplace) -> None:
        work.write("elements/mine/install.d/50-x", 'X=${DIB_MINE:?"set DIB_MINE to the owner"}\n', mode=0o755)
        (problem,) = work.problems("elements: [mine]\n")
        assert problem.message == "the element `mine` needs DIB_MINE: set DIB_MINE to the owner"

    @pytest.mark.usefixtures("networkd")
    def test_clash_with_a_parameter(self, work: Workplace) -> None:
        (problem,) = work.problems("elements: [networkd]\nenvironment: {DIB_T_LINK: x}\n")
        assert problem.path == "environment.DIB_T_LINK"
        assert problem.message == "DIB_T_LINK is set by the parameter `link` of `networkd`"
        assert problem.suggestion == "set it there: - networkd: {link: ...}"

    @pytest.mark.parametrize(
        ("variable", "key"),
        [("DIB_RELEASE", "base.release"), ("DIB_DISTRIBUTION_MIRROR", "mirror.url")],
    )
    def test_clash_with_another_part_of_the_recipe(self, work: Workplace, variable: str, key: str) -> None:
        (problem,) = work.problems(f"environment: {{{variable}: x}}\n")
        assert problem.message == f"{variable} is set by `{key}`"

    @pytest.mark.usefixtures("networkd")
    def test_two_elements_that_set_one_variable(self, work: Workplace) -> None:
        work.element("other", schema=NETWORKD)
        problems = work.problems("elements: [networkd, other]\n")
        assert len(problems) == 4
        assert problems[0].path == "elements[1]"
        assert (
            problems[0].message == "DIB_T_ADDRESSES: both `addresses` of `networkd` and `addresses` of `other` set it"
        )


class TestElementsTogether:
    def test_requirement(self, work: Workplace) -> None:
        work.element("mine", schema="summary: x\nrequires: {elements: [cloud-init]}\n")
        (problem,) = work.problems("elements: [mine]\n")
        assert (problem.path, problem.message, problem.suggestion) == (
            "elements[0]",
            "`mine` needs the element `cloud-init`",
            "add `- cloud-init` to elements",
        )
        assert work.plan("elements: [mine, cloud-init]\n")

    def test_requirement_met_by_element_deps(self, work: Workplace) -> None:
        work.element("mine", schema="summary: x\nrequires: {elements: [cloud-init]}\n")
        work.write("elements/mine/element-deps", "cloud-init\n")
        assert work.plan("elements: [mine]\n")

    def test_conflict(self, work: Workplace) -> None:
        work.element("mine", schema="summary: x\nrequires: {conflicts: [cloud-init]}\n")
        assert work.plan("elements: [mine]\n")
        (problem,) = work.problems("elements: [mine, cloud-init]\n")
        assert problem.message == "`mine` and `cloud-init` cannot be in one image"

    def test_two_operating_systems(self, work: Workplace, capfd: pytest.CaptureFixture[str]) -> None:
        problems = work.problems("elements: [ubuntu-minimal]\n")
        assert problems[0].path == "elements"
        assert problems[0].message.startswith("two elements provide the same: ")
        assert capfd.readouterr().err == ""

    def test_element_deps_that_name_nothing(self, work: Workplace) -> None:
        work.write("elements/mine/element-deps", "no-such-thing\n")
        (problem,) = work.problems("elements: [mine]\n")
        assert "'no-such-thing' not found" in problem.message

    def test_a_broken_element_is_blamed_in_its_own_file(self, work: Workplace) -> None:
        folder = work.element("mine", schema="summry: x\n")
        problems = work.problems("elements: [mine]\n")
        assert {each.file for each in problems} == {str(folder / "schema.yaml")}


class TestChecksAndProperties:
    @pytest.mark.usefixtures("networkd")
    def test_checks_are_expanded(self, work: Workplace) -> None:
        work.write(
            "elements/networkd/checks.yaml",
            """
            checks:
              - {id: address, for_each: "${addresses}", command: {run: "ip a | grep ${item.address}"}}
              - {id: strip, when: {policy: strip}, says: "${policy}"}
              - {id: metric, when: {policy: metric}}
              - {id: six, file: {path: /x, six: "${ipv6}"}}
            """,
        )
        addresses = "[{interface: a, address: 10.0.0.1/24}, {interface: b, address: 10.0.0.2/24}]"
        plan = work.plan(f"elements: [{{networkd: {{addresses: {addresses}}}}}]\n")
        assert [(each.element, each.id, each.spec) for each in plan.checks] == [
            ("networkd", "address-1", {"id": "address-1", "command": {"run": "ip a | grep 10.0.0.1/24"}}),
            ("networkd", "address-2", {"id": "address-2", "command": {"run": "ip a | grep 10.0.0.2/24"}}),
            ("networkd", "strip", {"id": "strip", "says": "strip"}),
            ("networkd", "six", {"id": "six", "file": {"path": "/x", "six": True}}),
        ]

    @pytest.mark.usefixtures("networkd")
    def test_a_check_that_cannot_be_expanded_is_blamed_in_checks_yaml(self, work: Workplace) -> None:
        path = work.write("elements/networkd/checks.yaml", "checks: [{id: a, says: 'x ${link}'}]\n")
        (problem,) = work.problems("elements: [networkd]\n")
        assert (problem.file, problem.path) == (str(path), "checks[0].says")
        assert problem.message == "`${link}` is nothing, which text cannot hold"
        assert work.plan("elements: [{networkd: {link: up}}]\n").checks[0].spec["says"] == "x up"

    @pytest.mark.usefixtures("networkd")
    def test_expanded_ids_are_unique(self, work: Workplace) -> None:
        work.write(
            "elements/networkd/checks.yaml",
            "checks: [{id: 'a-${item.interface}', for_each: '${addresses}'}]\n",
        )
        addresses = "[{interface: a, address: b}, {interface: a, address: c}]"
        (problem,) = work.problems(f"elements: [{{networkd: {{addresses: {addresses}}}}}]\n")
        assert problem.message == "the id `a-a` is there twice once expanded"

    @pytest.mark.usefixtures("networkd")
    def test_properties(self, work: Workplace) -> None:
        work.write(
            "elements/networkd/properties.yaml",
            "properties: {os_type: linux, own_x: 'p-${policy}', hw_link: '${link}', own_6: '${ipv6}'}\n",
        )
        plan = work.plan("elements: [networkd]\nproperties: {os_distro: debian, own_x: mine}\n")
        assert plan.properties == {"os_type": "linux", "own_x": "mine", "own_6": "true", "os_distro": "debian"}

    def test_elements_that_contradict_each_other(self, work: Workplace) -> None:
        work.element("one", properties="properties: {own_x: a}\n")
        path = work.element("two", properties="properties: {own_x: b}\n") / "properties.yaml"
        (problem,) = work.problems("elements: [one, two]\n")
        assert (problem.file, problem.path) == (str(path), "properties.own_x")
        assert problem.suggestion == "decide it in the recipe's properties"
        assert work.plan("elements: [one, two]\nproperties: {own_x: c}\n").properties == {"own_x": "c"}

    def test_os_type_from_a_parameter(self, work: Workplace) -> None:
        work.element(
            "one",
            schema="summary: x\nparameters: {type: object, properties: {a: {type: string, default: Linux}}}\n",
            properties="properties: {os_type: '${a}'}\n",
        )
        (problem,) = work.problems("elements: [one]\n")
        assert problem.suggestion == "did you mean `linux`"


def test_a_broken_file_is_an_input_error(work: Workplace) -> None:
    recipe = work.recipe("elements: [mine]\n")
    work.element("mine", checks="a: [\n")
    problems = problems_of(lambda: work.load("elements: [mine]\n"))
    assert "line 2, column 1" in problems[0].message
    assert recipe.is_file()
