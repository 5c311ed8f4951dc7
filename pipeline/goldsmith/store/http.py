"""One GET at a time over HTTP: proxies, certificates, redirects, and which errors are worth another try."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.utils import should_bypass_proxies

from goldsmith import __version__
from goldsmith.errors import HostError, InputError
from goldsmith.host.deadline import Deadline
from goldsmith.settings import Settings

#: seconds: to connect, and between two packets
_CONNECT, _SILENCE = 20.0, 60.0
_REDIRECTS = 10
_CHUNK = 2**16


class Transient(Exception):
    """What another try may bring; the text is for the operator."""


class NotThereError(InputError):
    """The server has no such file, or does not give it to us."""


@contextmanager
def get(url: str, settings: Settings, deadline: Deadline, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    """The answer to a GET, its body not yet read: status 200, 206 or 416.

    Errors while the body is read are this function's too.  Raises NotThereError for other answers, HostError for what
    no other try will change, Transient for the rest.
    """
    try:
        with requests.Session() as session:
            # Proxies and certificates come through the settings; a .netrc is nobody's wish.
            session.trust_env = False
            session.headers.update({"User-Agent": f"goldsmith/{__version__}", "Accept-Encoding": "identity"})
            with _followed(session, url, settings, deadline, headers) as answer:
                yield answer
    except requests.exceptions.SSLError as error:
        hint = "a certificate of your own authority goes into SSL_CERT_FILE"
        raise HostError(f"is not trusted: {_cause(error)}", where=url, hint=hint) from error
    except requests.exceptions.ProxyError as error:
        hint = "look at http_proxy, https_proxy and no_proxy"
        raise HostError(f"the proxy does not answer: {_cause(error)}", where=url, hint=hint) from error
    except requests.exceptions.InvalidURL as error:
        raise InputError(f"is no URL: {error}", where=url) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(f"the connection broke: {_cause(error)}") from error


def text_of(url: str, settings: Settings, limit: int, seconds: float = 120.0) -> str:
    """A short text.  Raises HostError where it cannot be had, InputError where it is not there or too long."""
    deadline = Deadline.after(seconds)
    found = b""
    try:
        with get(url, settings, deadline, {}) as answer:
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                found += chunk
                deadline.require(f"read {url}")
                if len(found) > limit:
                    raise InputError(f"is longer than {limit} bytes", where=url)
    except Transient as error:
        raise HostError(str(error), where=url) from error
    return found.decode("utf-8", errors="replace")


@contextmanager
def _followed(
    session: requests.Session, url: str, settings: Settings, deadline: Deadline, headers: Mapping[str, str]
) -> Iterator[requests.Response]:
    place = url
    for _ in range(_REDIRECTS):
        deadline.require(f"download {url}")
        answer = session.get(
            place,
            headers=dict(headers),
            stream=True,
            allow_redirects=False,
            timeout=(_CONNECT, min(_SILENCE, deadline.remaining() + 1)),
            proxies=_proxies(place, settings),
            verify=_certificates(settings),
        )
        with answer:
            if not answer.is_redirect:
                _require_good(answer, url)
                yield answer
                return
            target = urljoin(place, answer.headers["Location"])
        schemes = urlsplit(place).scheme, urlsplit(target).scheme
        if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
            raise NotThereError(f"leads to {target}, which is not https", where=url, hint="find its https URL")
        place = target
    raise NotThereError(f"leads on and on, after {_REDIRECTS} redirects to {place}", where=url)


def _require_good(answer: requests.Response, url: str) -> None:
    code = answer.status_code
    if code in (200, 206, 416):
        return
    if code in (408, 425, 429) or code >= 500:
        raise Transient(f"the server says {code} {answer.reason}")
    raise NotThereError(f"the server says {code} {answer.reason}", where=url, hint="look whether the URL is right")


def _proxies(url: str, settings: Settings) -> dict[str, str]:
    if should_bypass_proxies(url, no_proxy=settings.no_proxy):
        return {}
    return dict(settings.proxies)


def _certificates(settings: Settings) -> str | bool:
    """The system's, where companies put their own authority; requests' by default."""
    if settings.ca_certificates:
        return str(settings.ca_certificates)
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _cause(error: BaseException) -> str:
    """The innermost words: requests wraps urllib3's, which wrap the system's."""
    inner: object = error
    while isinstance(inner, BaseException):
        reason = getattr(inner, "reason", None)
        following = (
            reason
            if isinstance(reason, BaseException)
            else next((each for each in inner.args if isinstance(each, BaseException)), None)
        )
        if following is None:
            break
        inner = following
    return str(inner)
