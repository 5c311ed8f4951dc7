"""One publication with all that `goldsmith publish` imports, as a process of its own: tests/bench/upload.py times it.

    one_publication.py CLOUD NAME IMAGE MANIFEST METHOD

A recipe is not read: what is compared is what begins with a finished image.
"""

from __future__ import annotations

import sys
from pathlib import Path

from goldsmith.cli import _parser
from goldsmith.commands import clouds, work
from goldsmith.host.progress import Progress
from goldsmith.publish.glance.publisher import Order, publish
from goldsmith.publish.glance.service import connect
from goldsmith.store.manifest import Manifest

if __name__ == "__main__":
    # What the command line costs is part of it.
    _parser()
    assert clouds.publish and work.publish
    cloud, name, image, manifest, method = sys.argv[1:]
    facts = Manifest.model_validate_json(Path(manifest).read_text())
    asked = Order(name, Path(image), facts, {"os_type": "linux"}, method="import" if method == "import" else "put")
    print(publish(connect(cloud), asked, Progress(quiet=True)).image)
