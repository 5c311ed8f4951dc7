"""Swift's API as it answers, for the account of a project (its api-ref, "Object Storage API")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import requests

from goldsmith.errors import HostError, InputError
from goldsmith.publish.glance.service import Glance, translated

#: seconds without a byte before a connection is given up
_SILENCE = 120


class HiddenError(InputError):
    """The store cannot be seen with these credentials."""


@dataclass
class Swift:
    """Through the connection of an entry of clouds.yaml; paths are below ``address``, an account's."""

    cloud: str
    connection: Any
    address: str

    @property
    def where(self) -> str:
        return f"cloud {self.cloud}, Swift"

    @property
    def account(self) -> str:
        return self.address.rpartition("/")[2]

    def of(self, account: str | None) -> Swift:
        """The same for another account, which mostly is an administrator's to see."""
        base = self.address.rpartition("/")[0]
        return self if account is None else Swift(self.cloud, self.connection, f"{base}/{account}")

    def request(self, method: str, *path: str, **query: str) -> requests.Response | None:
        """None where it is not there.  Raises HiddenError (401, 403), or HostError without a good answer."""
        address = "/".join([self.address, *(quote(part, safe="") for part in path)])
        with translated(self.cloud):
            reply: requests.Response = self.connection.session.request(
                address + (f"?{urlencode(query)}" if query else ""),
                method,
                raise_exc=False,
                authenticated=True,
                timeout=_SILENCE,
                headers={"Accept": "application/json"},
            )
        if reply.status_code == 404:
            return None
        if reply.status_code in (401, 403):
            raise HiddenError(
                f"{'/'.join((self.account, *path))} cannot be seen with these credentials ({reply.status_code})",
                where=self.where,
                hint="name an entry of clouds.yaml that may, such as that of Glance's own user: --store-cloud",
            )
        if reply.status_code >= 400:
            raise HostError(f"{method} {'/'.join(path)}: {reply.status_code}", where=self.where, hint="run it again")
        return reply

    def head(self, container: str, name: str) -> Mapping[str, str] | None:
        reply = self.request("HEAD", container, name)
        return None if reply is None else reply.headers

    def has_container(self, container: str) -> bool:
        return self.request("HEAD", container) is not None

    def containers(self) -> list[str]:
        return [str(each["name"]) for each in self._pages(prefix="")]

    def names(self, container: str, prefix: str) -> list[str]:
        """Of all objects that begin so, in their order."""
        return [str(each["name"]) for each in self._pages(container, prefix=prefix)]

    def _pages(self, *path: str, prefix: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        marker = ""
        while reply := self.request("GET", *path, format="json", prefix=prefix, marker=marker):
            page = reply.json() if reply.status_code == 200 else []
            if not page:
                break
            found += page
            marker = str(page[-1]["name"])
        return found

    def manifest(self, container: str, name: str) -> list[Mapping[str, Any]]:
        """The segments of a static large object: documents with ``name`` (/container/object)."""
        query = {"multipart-manifest": "get", "format": "json"}
        reply = self.request("GET", container, name, **query)
        return [] if reply is None else list(reply.json())


def swift_of(glance: Glance) -> Swift:
    """Raises InputError where the cloud's catalogue has no Swift."""
    with translated(glance.cloud):
        address = glance.connection.session.get_endpoint(
            service_type="object-store",
            interface=glance.connection.config.get_interface("object-store") or "public",
            region_name=glance.connection.config.get_region_name("object-store"),
        )
    if not address:
        raise HiddenError(
            "the catalogue has no object-store: the store cannot be seen with these credentials",
            where=f"cloud {glance.cloud}",
            hint="name an entry of clouds.yaml that sees Glance's Swift: --store-cloud",
        )
    return Swift(glance.cloud, glance.connection, str(address).rstrip("/"))
