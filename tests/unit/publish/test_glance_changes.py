"""What a PATCH holds, what a plan says of it, and how a cloud's refusals are told."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from goldsmith.errors import CheckFailedError, ExitCode, InputError
from goldsmith.publish.glance import names, state
from goldsmith.publish.glance.service import RejectedError, _error, change
from goldsmith.recipe.nova_vocabulary import SNAPSHOT_MARKS

IMAGE: dict[str, Any] = {
    "id": "1",
    "name": "web",
    "status": "active",
    "visibility": "private",
    "os_hidden": False,
    "tags": [],
    "os_type": "linux",
    "hw_disk_bus": "ide",
    "by_hand": "1",
}


def test_a_patch_holds_what_differs_and_nothing_else() -> None:
    wanted = {"os_type": "linux", "hw_disk_bus": "virtio", "hw_rng_model": "virtio"}
    assert state.operations(IMAGE, wanted) == [
        {"op": "replace", "path": "/hw_disk_bus", "value": "virtio"},
        {"op": "add", "path": "/hw_rng_model", "value": "virtio"},
        {"op": "remove", "path": "/by_hand"},
    ]
    own = {"os_type": "linux", "hw_disk_bus": "ide", "by_hand": "1"}
    assert state.operations(IMAGE, own, name="web", visibility="private", os_hidden=False) == []
    assert state.operations(IMAGE, own, os_hidden=True) == [{"op": "replace", "path": "/os_hidden", "value": True}]


def test_names_of_properties_are_escaped_as_json_pointers() -> None:
    assert change({}, {"a/b~c": "1"}) == [{"op": "add", "path": "/a~1b~0c", "value": "1"}]
    assert change({"a/b": "1"}, {}, ["a/b", "gone"]) == [{"op": "remove", "path": "/a~1b"}]


def test_what_is_never_published() -> None:
    given = {"os_type": "linux", **dict.fromkeys(SNAPSHOT_MARKS, "1")}
    assert names.publishable(given) == {"os_type": "linux"}


def _reply(status: int, text: str) -> requests.Response:
    reply = requests.Response()
    reply.status_code, reply.reason = status, "a reason"
    reply._content = text.encode()
    return reply


HTML = "<html><head><title>409 Conflict</title></head><body><h1>409 Conflict</h1>\n  It is  in use<br /></body></html>"


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, InputError, ExitCode.BAD_INPUT),
        (403, InputError, ExitCode.BAD_INPUT),
        (415, CheckFailedError, ExitCode.CHECK_FAILED),
        (409, RejectedError, ExitCode.HOST),
        (413, RejectedError, ExitCode.HOST),
        (500, RejectedError, ExitCode.HOST),
        (503, RejectedError, ExitCode.HOST),
    ],
)
def test_refusals_by_their_status(status: int, kind: type[Exception], code: ExitCode) -> None:
    error = _error(_reply(status, HTML), "cloud web", "PATCH /images/1")
    assert type(error) is kind
    assert error.exit_code == code
    assert error.where == "cloud web"
    if status != 401:
        assert str(status) in error.message
        assert "It is in use" in error.message
        assert "<" not in error.message


def test_a_reply_without_words_has_its_reason() -> None:
    assert "a reason" in _error(_reply(500, ""), "cloud web", "GET /images").message
