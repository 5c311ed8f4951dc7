"""The image under test as a libguestfs handle, whose appliance may start while the guest boots."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from goldsmith.boot import accelerator
from goldsmith.images.untrusted import image_format
from goldsmith.settings import from_environment
from goldsmith.verify.appliance import handle_of


class OfflineImage:
    """An appliance that is launched once, at the first wish for it."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="appliance")
        self._stack = contextlib.ExitStack()
        self._launch: Future[Any] | None = None

    def begin(self) -> None:
        """Launch it in the background; what fails is raised by ``handle``."""
        if self._launch is None:
            self._launch = self._pool.submit(self._launched)

    def _launched(self) -> Any:
        chosen = accelerator.choose(from_environment())
        return self._stack.enter_context(handle_of(self._image, image_format(self._image), chosen))

    def handle(self) -> Any:
        """A guestfs.GuestFS with the image's root mounted, read-only.

        Raises InputError for a file that is no image, HostError without libguestfs, HarnessError where the appliance
        does not start or finds no root file system.
        """
        self.begin()
        assert self._launch is not None
        return self._launch.result()

    def close(self) -> None:
        """End the appliance, if it was launched."""
        self._pool.shutdown()
        self._stack.close()
