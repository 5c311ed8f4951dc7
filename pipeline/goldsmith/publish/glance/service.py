"""Glance's API v2 as it answers: plain documents, its errors as ours.

Not by openstacksdk's image layer, which loses errors: it ignores a failed /import, compares nothing but MD5 and turns
booleans into other words.  It does find the cloud, authenticates, and renews tokens.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import openstack
import requests
from keystoneauth1 import exceptions as auth
from openstack import exceptions as sdk

from goldsmith import __version__
from goldsmith.errors import CheckFailedError, GoldsmithError, HostError, InputError

Image = dict[str, Any]

#: what Glance itself keeps on an image (api-ref, "Show image"): everything else at the top level is a property
BASE = frozenset(
    {
        *("checksum", "container_format", "created_at", "direct_url", "disk_format", "file", "id", "locations"),
        *("min_disk", "min_ram", "name", "os_hash_algo", "os_hash_value", "os_hidden", "owner", "protected", "schema"),
        *("self", "size", "status", "store", "stores", "tags", "updated_at", "virtual_size", "visibility"),
    }
)
_PATCH = "application/openstack-images-v2.1-json-patch"
#: in what Glance says of a signature that does not fit the bytes, or whose certificate it cannot have
#: (glance/api/v2/image_data.py, glance/location.py, cursive/exception.py)
_SIGNATURE_REFUSED = "Signature verification"
SIGNATURE_HINT = "see whether the key is that of the certificate, and whether the cloud's key manager has it"
#: seconds without a byte before a connection is given up
_SILENCE = 120


class RejectedError(HostError):
    """Glance refused or failed a request; ``status`` is HTTP's."""

    def __init__(self, message: str, status: int, *, where: str, hint: str | None = None) -> None:
        self.status = status
        super().__init__(message, where=where, hint=hint)


def properties_of(image: Mapping[str, Any]) -> dict[str, str]:
    """Its properties, without what Glance and its stores write themselves (os_glance_*)."""
    return {k: v for k, v in image.items() if k not in BASE and not k.startswith("os_glance") and v is not None}


@dataclass
class Glance:
    """The image service of one entry of clouds.yaml, for one project."""

    cloud: str
    connection: Any
    project: str
    #: the server's clock at its last answer; never compared with ours
    now: datetime | None = field(default=None)

    def request(self, method: str, path: str, *, ok: Sequence[int] = (), **more: Any) -> requests.Response:
        """Raises InputError (401, 403), CheckFailedError (415, or 400 for a signature), RejectedError else.

        HostError where there is no answer.
        """
        with translated(self.cloud):
            reply = self._ask(method, path, **more)
            if reply.status_code == 401 and more.get("allow_reauth", True):
                # keystoneauth renews a token that has ended, but not where another thread is just doing that.
                self.connection.session.invalidate()
                reply = self._ask(method, path, **more)
        if said := reply.headers.get("Date"):
            self.now = email.utils.parsedate_to_datetime(said)
        if reply.status_code >= 400 and reply.status_code not in ok:
            raise _error(reply, f"cloud {self.cloud}", f"{method} {path.partition('?')[0]}")
        return reply

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        def ask() -> requests.Response:
            reply: requests.Response = self.connection.image.request(
                path, method, raise_exc=False, timeout=_SILENCE, **more
            )
            return reply

        try:
            return ask()
        except auth.ConnectFailure as error:
            # A server closes a connection that was idle (gunicorn after 2 s) just when the next request comes on it.
            # What is the same when done twice is asked once more; a silence was long enough the first time.
            if isinstance(error, auth.ConnectTimeout) or not _repeatable(method, more):
                raise
            return ask()

    def document(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The answer's JSON object.  Raises as ``request``, and HostError where something else is answered."""
        return self._read(self.request(method, path, **more))

    def _read(self, reply: requests.Response) -> dict[str, Any]:
        try:
            return dict(reply.json())
        except (ValueError, TypeError) as error:
            # Of a load balancer, or of a page that asks whoever is not logged in to do so.
            raise HostError(
                f"no answer of Glance: {_text(reply)}",
                where=f"cloud {self.cloud}",
                hint="see the image endpoint in the catalogue, and what stands between",
            ) from error

    def images(self, *, hidden: Sequence[bool] = (False, True), **query: str) -> list[Image]:
        """All images, hidden and visible ones, of this project and by these filters, page by page."""
        found: dict[str, Image] = {}
        for each in hidden:
            words = {**query, "owner": self.project, "os_hidden": str(each).lower(), "limit": "100"}
            path = "/images?" + urlencode(words)
            while path:
                document = self.document("GET", path)
                found |= {image["id"]: image for image in document["images"]}
                path = str(document.get("next", "")).removeprefix("/v2")
        return list(found.values())

    def image(self, image_id: str) -> Image | None:
        reply = self.request("GET", f"/images/{image_id}", ok=(404,))
        return None if reply.status_code == 404 else self._read(reply)

    def create(self, document: Mapping[str, Any]) -> Image:
        return self.document("POST", "/images", json=dict(document))

    def patch(self, image_id: str, operations: Sequence[Mapping[str, Any]]) -> Image:
        """All operations or none; without any, the image as it is."""
        if not operations:
            return self.document("GET", f"/images/{image_id}")
        body = json.dumps(list(operations))
        headers = {"Content-Type": _PATCH}
        return self.document("PATCH", f"/images/{image_id}", data=body, headers=headers)

    def delete(self, image_id: str) -> None:
        """Gone, also where it was gone before."""
        self.request("DELETE", f"/images/{image_id}", ok=(404,))

    def is_administrator(self) -> bool:
        """Whether this user has the role that Glance's own policies ask for beyond a project."""
        with translated(self.cloud):
            session = self.connection.session
            return "admin" in session.auth.get_access(session).role_names

    def in_use(self, image: Mapping[str, Any]) -> bool | None:
        """Whether a server was made from it; None where there is no Nova, or it does not say so to this user.

        Servers of other projects are an administrator's to see, and can only be made from what is not private.
        """
        query = f"/servers?image={image['id']}&limit=1"
        try:
            if not self.connection.has_service("compute"):
                return None
            reply = self.connection.compute.get(f"{query}&all_tenants=1", timeout=_SILENCE)
            if reply.status_code == 403 and image["visibility"] == "private":
                reply = self.connection.compute.get(query, timeout=_SILENCE)
            return bool(reply.json()["servers"]) if reply.status_code == 200 else None
        except (auth.ClientException, sdk.SDKException, requests.RequestException, KeyError):
            return None


def change(image: Mapping[str, Any], wanted: Mapping[str, Any], remove: Sequence[str] = ()) -> list[dict[str, Any]]:
    """JSON patch from what an image has to ``wanted``; nothing where that is so already."""
    operations: list[dict[str, Any]] = [
        {"op": "replace" if key in image else "add", "path": f"/{_escaped(key)}", "value": value}
        for key, value in wanted.items()
        if key not in image or image[key] != value
    ]
    return operations + [{"op": "remove", "path": f"/{_escaped(key)}"} for key in remove if key in image]


def _repeatable(method: str, more: Mapping[str, Any]) -> bool:
    """Whether a request that may have been done already can be sent again; what a patch removes is there only once."""
    if method == "PATCH":
        return all(operation["op"] != "remove" for operation in json.loads(more["data"]))
    return method in ("GET", "DELETE")


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def connect(cloud: str) -> Glance:
    """The cloud of clouds.yaml (or of OS_* variables, as ``envvars``).

    Raises InputError where there is no such cloud or it does not take the credentials, HostError without an answer.
    """
    with translated(cloud):
        connection = openstack.connect(cloud=cloud, app_name="goldsmith", app_version=__version__)
        return Glance(cloud, connection, str(connection.current_project_id))


@contextlib.contextmanager
def translated(cloud: str) -> Iterator[None]:
    where = f"cloud {cloud}"
    try:
        yield
    except GoldsmithError:
        raise
    except (auth.Unauthorized, auth.AuthorizationFailure, auth.AuthPluginException) as error:
        raise InputError(
            "the cloud does not take these credentials", where=where, hint="see its entry in clouds.yaml"
        ) from error
    except (sdk.ConfigException, auth.CatalogException) as error:
        raise InputError(str(error), where=where, hint="see clouds.yaml, and OS_CLIENT_CONFIG_FILE") from error
    except (auth.ClientException, sdk.SDKException, requests.RequestException) as error:
        raise HostError(
            f"no answer: {type(error).__name__}", where=where, hint="see whether the cloud is up, then run it again"
        ) from error


def _error(reply: requests.Response, where: str, asked: str) -> GoldsmithError:
    said = _text(reply)
    message = f"{asked}: {reply.status_code} {said}"
    match reply.status_code:
        case 400 if _SIGNATURE_REFUSED in said:
            return CheckFailedError(message, where=where, hint=SIGNATURE_HINT)
        case 401:
            return InputError(f"{asked}: the cloud does not take these credentials", where=where)
        case 403:
            # Quotas of unified limits are 413, those of old 403.
            return InputError(message, where=where, hint="the role of this user may not, or a quota is used up")
        case 415:
            return CheckFailedError(message, where=where, hint="the cloud refuses this disk format")
        case 413:
            return RejectedError(message, 413, where=where, hint="a quota, or the store, is full: remove images")
        case status:
            return RejectedError(message, status, where=where, hint="run it again; what is done is not done again")


def _text(reply: requests.Response) -> str:
    """Its words without the HTML that WebOb puts around them."""
    plain = re.sub(r"<title>.*?</title>|<[^>]+>", " ", reply.text[:2000], flags=re.DOTALL)
    return " ".join(plain.split())[:300] or reply.reason
