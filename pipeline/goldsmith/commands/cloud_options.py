"""What options say about clouds.

Where they say nothing OpenStack's libraries are not imported: they take a fifth of a second.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from goldsmith.commands.store import Look
    from goldsmith.publish.signatures import Signer

#: options that mean nothing without --cloud, as far as a command has them
_OF_CLOUDS = (
    "sign_key",
    "sign_certificate",
    "verify_store",
    "store_cloud",
    "store_container",
    "store_devices",
    "swift_conf",
)


def of_clouds(args: argparse.Namespace) -> tuple[Signer | None, Look | None]:
    """Whom --sign-key names, and how --verify-store is to look.

    Raises InputError where options do not fit together.
    """
    if not args.cloud and not any(getattr(args, name, None) for name in _OF_CLOUDS):
        return None, None
    from goldsmith.commands.clouds import signer
    from goldsmith.commands.store import Look

    return signer(args), Look.of(args) if "verify_store" in args else None
