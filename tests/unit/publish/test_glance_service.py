"""JSON patches, and Glance's errors as ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from keystoneauth1 import exceptions as auth

from goldsmith.errors import CheckFailedError, ExitCode, GoldsmithError, HostError, InputError
from goldsmith.publish.glance import service
from goldsmith.publish.glance.service import RejectedError, change

WEBOB = (
    "<html><head><title>403 Forbidden</title></head>\n<body><h1>403 Forbidden</h1>You may\n not.<br /></body></html>"
)


def _reply(status: int, text: str = "no", reason: str = "Because") -> requests.Response:
    reply = requests.Response()
    reply.status_code, reply.reason, reply._content = status, reason, text.encode()
    return reply


def test_change_does_only_what_is_missing() -> None:
    image = {"name": "web", "os_type": "linux"}
    assert change(image, {"name": "web", "os_type": "linux"}, ["absent"]) == []
    assert change(image, {"name": "other", "new": "1"}, ["os_type"]) == [
        {"op": "replace", "path": "/name", "value": "other"},
        {"op": "add", "path": "/new", "value": "1"},
        {"op": "remove", "path": "/os_type"},
    ]


def test_change_sees_what_is_there_and_empty() -> None:
    assert change({"a": None}, {"a": "1"}) == [{"op": "replace", "path": "/a", "value": "1"}]


@pytest.mark.parametrize(
    ("key", "path"), [("a/b", "/a~1b"), ("a~b", "/a~0b"), ("a~1", "/a~01"), ("trait:X", "/trait:X")]
)
def test_paths_are_escaped_as_a_json_pointer_wants(key: str, path: str) -> None:
    assert change({}, {key: "1"})[0]["path"] == path
    assert change({key: "1"}, {}, [key])[0]["path"] == path


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, InputError, ExitCode.BAD_INPUT),
        (403, InputError, ExitCode.BAD_INPUT),
        (404, RejectedError, ExitCode.HOST),
        (409, RejectedError, ExitCode.HOST),
        (413, RejectedError, ExitCode.HOST),
        (415, CheckFailedError, ExitCode.CHECK_FAILED),
        (500, RejectedError, ExitCode.HOST),
        (503, RejectedError, ExitCode.HOST),
    ],
)
def test_status_decides_the_kind_of_error(status: int, kind: type[GoldsmithError], code: ExitCode) -> None:
    error = service._error(_reply(status), "cloud c", "PUT /images/1/file")
    assert (type(error), error.exit_code, error.where) == (kind, code, "cloud c")
    assert error.message.startswith("PUT /images/1/file: ")
    if isinstance(error, RejectedError):
        assert error.status == status


def test_text_is_without_markup_and_short() -> None:
    assert service._text(_reply(403, WEBOB)) == "403 Forbidden You may not."
    assert len(service._text(_reply(500, "x" * 5000))) == 300
    assert service._text(_reply(500, "")) == "Because"


def test_other_answers_than_json_objects_are_no_answer_of_glance() -> None:
    glance = service.Glance("c", None, "p")
    for text in ("<h1>Log in</h1>", "", "7", "[1]"):
        with pytest.raises(GoldsmithError, match="no answer of Glance") as caught:
            glance._read(_reply(200, text))
        assert caught.value.exit_code == ExitCode.HOST
    assert glance._read(_reply(200, '{"a": 1}')) == {"a": 1}


class _Idle:
    """A connection that the server closed while it was idle: the first request on it gets no answer."""

    def __init__(self, error: Exception) -> None:
        self.image = self
        self.error = error
        self.asked = 0

    def request(self, path: str, method: str, **more: Any) -> requests.Response:
        self.asked += 1
        if self.asked == 1:
            raise self.error
        return _reply(200, "{}")


@pytest.mark.parametrize(
    ("method", "operation", "asked"),
    [("GET", None, 2), ("DELETE", None, 2), ("PATCH", "replace", 2), ("PATCH", "remove", 1), ("POST", None, 1)],
)
def test_what_is_the_same_when_done_twice_is_asked_once_more(method: str, operation: str | None, asked: int) -> None:
    idle = _Idle(auth.ConnectFailure("closed"))
    more = {"data": json.dumps([{"op": operation, "path": "/a"}])} if operation else {}
    glance = service.Glance("c", idle, "p")
    if asked == 2:
        assert glance.request(method, "/images/1", **more).status_code == 200
    else:
        with pytest.raises(HostError, match="no answer: ConnectFailure"):
            glance.request(method, "/images/1", **more)
    assert idle.asked == asked


def test_a_silent_cloud_is_not_waited_for_twice() -> None:
    idle = _Idle(auth.ConnectTimeout("silence"))
    with pytest.raises(HostError, match="ConnectTimeout"):
        service.Glance("c", idle, "p").request("GET", "/images")
    assert idle.asked == 1


def test_properties_are_what_glance_does_not_write_itself() -> None:
    image = {"id": "1", "name": "web", "os_hidden": False, "os_glance_failed_import": "", "os_type": "linux", "a": None}
    assert service.properties_of(image) == {"os_type": "linux"}
