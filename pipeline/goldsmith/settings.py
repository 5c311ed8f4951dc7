"""The only module that reads the environment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: elements/, recipes/ and cloud-config/ stand beside pipeline/ in a checkout.
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Where goldsmith reads and writes, taken once from the environment by ``from_environment``."""

    #: artefacts that can be made again: trees, downloads, measured facts of the host
    cache_dir: Path
    #: scratch space; holds a whole tree and a raw disk while an image is baked
    work_dir: Path
    #: scratch space in memory, of this cache alone, for builds while there is plenty of memory; none where the caller
    #: names a place for scratch
    memory_dir: Path | None
    #: the local catalogue that ``publish`` writes without a cloud
    images_dir: Path
    #: where elements are looked up, the project's own last
    elements_path: tuple[Path, ...]
    #: base URL of a package mirror that overrides the host's own apt sources
    mirror: str | None
    #: the same for the security suite
    security_mirror: str | None
    #: a caller in CI wants plain progress lines
    plain_progress: bool
    #: what subprocesses may inherit; never the whole environment
    base_environment: Mapping[str, str]
    #: scheme of a URL -> the proxy's URL
    proxies: Mapping[str, str] = field(default_factory=dict)
    #: hosts that are reached without it, separated by commas
    no_proxy: str = ""
    #: file or folder of certificates that replaces the system's
    ca_certificates: Path | None = None

    @property
    def scratch_dirs(self) -> tuple[Path, ...]:
        """Wherever builds work, or killed ones have worked."""
        return (self.work_dir, self.memory_dir) if self.memory_dir else (self.work_dir,)


_INHERITED = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "http_proxy", "https_proxy", "no_proxy", "TMPDIR")


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; every path is absolute."""
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME", "/root"))
    cache_home = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    cache = Path(env.get("GOLDSMITH_CACHE") or cache_home / "goldsmith").absolute()
    own = PROJECT_ROOT / "elements"
    extra = [Path(part).absolute() for part in env.get("ELEMENTS_PATH", "").split(":") if part]
    inherited = {name: env[name] for name in _INHERITED if env.get(name)}
    # A user's PATH often lacks the administrator's folders, where mke2fs and ip live.
    paths = inherited.get("PATH", "").split(":")
    inherited["PATH"] = ":".join([*paths, *(p for p in ("/usr/sbin", "/sbin", "/usr/bin", "/bin") if p not in paths)])
    authorities = env.get("SSL_CERT_FILE") or env.get("REQUESTS_CA_BUNDLE")
    return Settings(
        cache_dir=cache,
        work_dir=Path(env.get("GOLDSMITH_WORK") or cache / "work").absolute(),
        memory_dir=None if env.get("GOLDSMITH_WORK") else _memory_of(cache),
        images_dir=Path(env.get("GOLDSMITH_IMAGES") or "images").absolute(),
        elements_path=(*(path for path in extra if path != own), own),
        mirror=env.get("GOLDSMITH_MIRROR") or None,
        security_mirror=env.get("GOLDSMITH_SECURITY_MIRROR") or None,
        plain_progress=bool(env.get("CI")) or env.get("TERM") == "dumb",
        base_environment=inherited,
        # In capitals too, as curl reads them; http_proxy is not (a CGI's client could set it).
        proxies={
            scheme: proxy
            for scheme, proxy in (
                ("http", env.get("http_proxy")),
                ("https", env.get("https_proxy") or env.get("HTTPS_PROXY")),
            )
            if proxy
        },
        no_proxy=env.get("no_proxy") or env.get("NO_PROXY") or "",
        ca_certificates=Path(authorities).absolute() if authorities else None,
    )


def _memory_of(cache: Path) -> Path:
    """One for each cache, as the scratch space on its disk is: what a build sweeps is of its own cache."""
    return Path(f"/dev/shm/goldsmith-{os.getuid()}-{hashlib.sha256(str(cache).encode()).hexdigest()[:8]}")
