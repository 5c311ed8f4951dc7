"""The JSON Schema for editors agrees with the loader."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from recipe_help import Workplace, problems_of

from goldsmith.recipe.schema import json_schema


@pytest.fixture
def schema(work: Workplace, networkd: object) -> dict[str, Any]:
    return json_schema(work.settings)


def test_it_is_a_schema_and_holds_no_trace_of_ours(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert "x-dib" not in str(schema)
    assert schema["$defs"]["Disk"]["properties"]["size"]["default"] == "4GiB"
    assert schema["$defs"]["element.networkd"]["description"] == "Networks"


HEAD = "name: r\nbase: {distribution: debian, release: trixie}\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        HEAD + "elements: [cloud-init, networkd, {networkd: null}, {networkd: {policy: metric}}]\n",
        HEAD + "disk: {size: 5GiB, firmware: [uefi]}\nenvironment: {DIB_A: x}\npackages: [g++]\n",
        HEAD + "mirror: {url: 'http://mirror.example/debian', keep: true}\nproperties: {a: b}\n",
        "name: r\nextends: other.yaml\n",
    ],
)
def test_good(schema: dict[str, Any], text: str) -> None:
    assert [each.message for each in Draft202012Validator(schema).iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "name: r\n",
        "extends: other.yaml\n",
        HEAD + "elements: [{networkd: {adress: []}}]\n",
        HEAD + "elements: [{networkd: {policy: metrc}}]\n",
        HEAD + "elements: [{networkd: {}, cloud-init: {}}]\n",
        HEAD + "elements: [networkdd]\n",
        HEAD + "disk: {size: 4GB}\n",
        HEAD + "properties: {a: 1}\n",
        HEAD + "environment: {FOO: x}\n",
        HEAD + "packages: ['-y']\n",
        HEAD + "enviroment: {}\n",
        HEAD.replace("trixie", "trixi"),
    ],
)
def test_bad(schema: dict[str, Any], text: str) -> None:
    assert list(Draft202012Validator(schema).iter_errors(yaml.safe_load(text)))


def test_a_required_parameter_forbids_the_bare_name(work: Workplace) -> None:
    parameters = "{type: object, required: [a], properties: {a: {type: string}}}"
    work.element("needy", schema=f"summary: x\nparameters: {parameters}\n")
    validator = Draft202012Validator(json_schema(work.settings))
    assert not validator.is_valid(yaml.safe_load(HEAD + "elements: [needy]\n"))
    assert not validator.is_valid(yaml.safe_load(HEAD + "elements: [{needy: null}]\n"))
    assert validator.is_valid(yaml.safe_load(HEAD + "elements: [{needy: {a: x}}]\n"))


def test_broken_elements_are_all_named(work: Workplace) -> None:
    work.element("one", schema="a: 1\n")
    work.element("two", schema="b: 1\n")
    files = {each.file for each in problems_of(lambda: json_schema(work.settings))}
    assert files == {str(work.root / "elements" / name / "schema.yaml") for name in ("one", "two")}
