"""The kind residue: goldsmith's own rules of what no image may carry, as ``goldsmith inspect`` applies them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from goldsmith.errors import InputError
from goldsmith.verify.compare import Finding, Strict
from goldsmith.verify.kinds.files import listed
from goldsmith.verify.residue.rules import Severity, selected
from goldsmith.verify.residue.search import search
from goldsmith.verify.tree import Tree


class ResidueAssertion(Strict):
    """The rules find nothing in the tree."""

    severity: Severity | None = Field(default=None, description="Only the rules of this severity")
    ignore: tuple[str, ...] = Field(default=(), description="Ids of rules that do not count")

    @model_validator(mode="after")
    def _rules_are_known(self) -> Self:
        try:
            selected(ignore=self.ignore)
        except InputError as error:
            raise ValueError(f"ignore: {error.message}, {error.hint}") from error
        return self


def residue(assertion: ResidueAssertion, tree: Tree) -> list[Finding]:
    rules = selected(severity=assertion.severity, ignore=assertion.ignore)
    found = search(tree, rules)
    return [
        Finding(f"no {rule.what} ({rule.id})", listed(items))
        for rule in rules
        if (items := [str(each) for each in found if each.rule is rule])
    ]
