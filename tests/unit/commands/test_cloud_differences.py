"""goldsmith plan --cloud: what would be added, changed and removed, and who wants it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from work_standins import World

from goldsmith import cli
from goldsmith.commands import clouds
from goldsmith.publish.glance.publisher import Done, Order
from goldsmith.publish.glance.state import State
from goldsmith.publish.signatures import NAMES, SIGNATURE, Signer

Captured = pytest.CaptureFixture[str]
ID = "5a1f2b30-0000-4000-8000-000000000001"


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    key = rsa.generate_private_key(65537, 2048)
    path = tmp_path / "key.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return Signer(path, ID)


def _there(world: World, content: bytes, **more: Any) -> dict[str, Any]:
    facts = {"id": "1", "status": "active", "visibility": "private", "protected": False, "tags": ["b", "a"]}
    return {**facts, "os_hash_value": hashlib.sha512(content).hexdigest(), **more}


def _planned(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, there: dict[str, Any] | None, *words: str
) -> dict[str, Any]:
    monkeypatch.setattr(clouds, "connect", lambda cloud: None)
    monkeypatch.setattr(clouds.state, "look", lambda glance, name: State(there, (), (), ()))
    capsys.readouterr()
    assert cli.main(["plan", "--json", "--cloud", "a", *words]) == 0
    (told,) = json.loads(capsys.readouterr().out)["recipes"][0]["clouds"]
    assert isinstance(told, dict)
    return told


def test_each_change_says_who_wants_it(world: World, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    (world.folder / "elements/marked/properties.yaml").write_text("properties: {hw_rng_model: virtio}\n")
    path = Path(world.recipe(more="owner_team: web"))
    path.write_text(f"{path.read_text()}publish: {{visibility: public, tags: [a, b], protected: true}}\n")
    there = _there(world, b"other", os_type="windows", owner_team="web", mine="1")
    told = _planned(monkeypatch, capsys, there, str(path))
    origins = {name: each["origin"] for name, each in told["add"].items()}
    assert origins == {
        "architecture": "the disk",
        "hw_rng_model": "element marked",
        "os_distro": "the recipe",
        "os_version": "the disk",
    }
    assert told["change"] == {
        "os_type": {"old": "windows", "value": "linux", "origin": "the disk"},
        "protected": {"old": False, "value": True, "origin": "the recipe"},
        "visibility": {"old": "private", "value": "public", "origin": "the recipe"},
    }
    assert list(told["remove"]) == ["mine"]


def test_a_signature_stays_with_its_bytes(
    world: World, signer: Signer, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    recipe = world.recipe()
    assert cli.main(["run", recipe]) == 0
    image = world.folder / "images/small.qcow2"
    signature = signer.sign(image)
    options = ("--sign-key", str(signer.key), "--sign-certificate", ID)
    same = _there(world, b"image", **signature)
    for words in ((), options):
        told = _planned(monkeypatch, capsys, same, recipe, *words)
        assert not set(NAMES) & {*told["add"], *told["change"], *told["remove"]}
    other = _there(world, b"other", **signature)
    told = _planned(monkeypatch, capsys, other, recipe)
    assert {name: told["remove"][name]["reason"] for name in NAMES} == dict.fromkeys(NAMES, "it signs other bytes")
    image_of_others = {**other, SIGNATURE: "AAAA"}
    told = _planned(monkeypatch, capsys, image_of_others, recipe, *options)
    assert told["change"][SIGNATURE]["origin"] == "the signature" and not set(NAMES) & set(told["remove"])
    told = _planned(monkeypatch, capsys, None, recipe, *options)
    assert set(NAMES) <= set(told["add"])


@pytest.mark.parametrize("command", ["publish", "run"])
def test_what_was_asked_for_reaches_the_publisher(
    world: World, signer: Signer, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    orders: list[Order] = []

    def publish(glance: object, order: Order, progress: object) -> Done:
        orders.append(order)
        return Done("published", "1")

    monkeypatch.setattr(clouds, "connect", lambda cloud: None)
    monkeypatch.setattr(clouds.publisher, "publish", publish)
    path = Path(world.recipe())
    path.write_text(f"{path.read_text()}publish: {{tags: [a], protected: true}}\n")
    assert cli.main(["run", str(path)]) == 0
    words = [command, "--cloud", "a", str(path)]
    assert cli.main([*words, "--sign-key", str(signer.key)]) == 2
    assert cli.main([*words, "--sign-key", str(signer.key), "--sign-certificate", ID]) == 0
    assert cli.main(words) == 0
    assert [(order.signer, order.protected, order.tags) for order in orders] == [
        (signer, True, ("a",)),
        (None, True, ("a",)),
    ]
