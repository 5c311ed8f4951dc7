"""Every kind has somebody who looks, in every layer that it may stand in."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_checks import spec
from test_kinds_screen import FakeDisplay
from verify_standins import FakeShell

from goldsmith.errors import HarnessError
from goldsmith.store.manifest import Layer
from goldsmith.verify.evaluate import Place, Subject, evaluate, findings
from goldsmith.verify.model import LAYERS, parse
from goldsmith.verify.subjects import LiveGuest, MetadataTally, Screen
from goldsmith.verify.tree import FolderTree

NOBODY = "cannot be evaluated on"


def subjects(folder: Path) -> dict[Layer, Subject]:
    tree = FolderTree(folder)
    return {
        "offline": tree,
        "shutdown": tree,
        "live": LiveGuest(FakeShell({})),
        "screen": Screen(FakeDisplay(), folder),
        "network": MetadataTally(99, 99),
    }


@pytest.mark.parametrize(("kind", "layer"), [(kind, layer) for kind, layers in LAYERS.items() for layer in layers])
def test_somebody_looks(kind: str, layer: Layer, tmp_path: Path) -> None:
    verdict = evaluate(parse("x", "a-check", spec(kind)), subjects(tmp_path)[layer], Place(layer, None))
    assert NOBODY not in verdict.seen


def test_nobody_looks_elsewhere(tmp_path: Path) -> None:
    for kind, layers in LAYERS.items():
        for layer, subject in subjects(tmp_path).items():
            if layer not in layers and not (
                {"offline", "shutdown"} & {layer} and {"offline", "shutdown"} & set(layers)
            ):
                with pytest.raises(HarnessError, match=NOBODY):
                    findings(parse("x", "a-check", spec(kind)).check.assertion, subject)
