"""A key manager of castellan for Glance: X.509 certificates in PEM, ID.pem in the folder ``certificates`` beside it.

Runs in Glance's own environment, which alone has castellan.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from castellan.common.exception import ManagedObjectNotFoundError
from castellan.common.objects.x_509 import X509

FOLDER = Path(__file__).resolve().parent / "certificates"


class FolderKeyManager:
    """What cursive asks of a key manager (cursive/signature_utils.py, get_certificate)."""

    def __init__(self, configuration: Any = None) -> None:
        pass

    def get(self, context: Any, managed_object_id: str) -> X509:
        path = FOLDER / f"{managed_object_id}.pem"
        if not path.exists():
            raise ManagedObjectNotFoundError(uuid=managed_object_id)
        return X509(ssl.PEM_cert_to_DER_cert(path.read_text()))
