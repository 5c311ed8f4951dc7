"""What publishing costs, against `openstack image create --file`: `make bench`.

Each round uploads the same 1 GiB qcow2 of random bytes to a real Keystone and a real Glance on loopback, once by
goldsmith, which reads it once, compares size, MD5 and sha512, and switches, and once by python-openstackclient, each
in a process of its own, from its start to its end; who begins changes by turns.  The image is removed in between.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from measure import Usage, measured
from results import Promise, Row
from suite import Job, Round, Suite, Workshop, main

from goldsmith.errors import HarnessError
from goldsmith.host.files import file_digest
from goldsmith.host.run import run
from goldsmith.publish.glance.service import connect
from goldsmith.settings import PROJECT_ROOT
from goldsmith.store.manifest import Manifest

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from cloud_images import image as small_image
from cloud_services import BIN, Cloud, _empty, start_cloud

OURS, THEIRS = "goldsmith publish", "openstack image create"
SCENE = "An upload to Glance"
ROWS = (
    Row("upload", THEIRS, "a qcow2 of 1 GiB that does not compress, on loopback", False, (SCENE,)),
    Row("upload", OURS, "the same file, compared afterwards and switched to", True, (SCENE,)),
)
PROMISES = (
    Promise("upload", OURS, 1.1, THEIRS),
    # MiB of the process
    Promise("upload", OURS, 256, unit="memory"),
)


def random_image(folder: Path, size: int) -> tuple[Path, Path]:
    """A qcow2 that is as large as what it holds, and its manifest."""
    raw, path, manifest = folder / "raw", folder / "random.qcow2", folder / "random.json"
    with raw.open("wb") as stream:
        for _ in range(size // 2**20):
            stream.write(os.urandom(2**20))
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], deadline=600)
    raw.unlink()
    _, like = small_image(folder / "small", "small")
    own = {"sha256": file_digest(path), "sha512": file_digest(path, "sha512"), "size": path.stat().st_size}
    facts = Manifest.model_validate(like.model_dump() | own | {"virtual_size": size})
    manifest.write_text(facts.model_dump_json())
    return path, manifest


def uploaded(cloud: Cloud, image: Path, argv: list[str | Path]) -> Usage:
    """What a command that uploads the image takes; it leaves an empty project."""
    usage, _ = measured(argv, cloud.folder, env={"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml)})
    glance = connect("member")
    held = [each["os_hash_value"] for each in glance.images(name="bench") if each["status"] == "active"]
    _empty(glance)
    # A command that says well and has uploaded something else was not measured.
    if held != [file_digest(image, "sha512")]:
        raise HarnessError(f"{len(held)} images are there, or another than was uploaded")
    return usage


@contextlib.contextmanager
def opened(workshop: Workshop) -> Iterator[Round]:
    """Starts Keystone and Glance, and makes the image."""
    folder = workshop.folder / "upload"
    folder.mkdir()
    image, manifest = random_image(folder, workshop.args.mebibytes * 2**20)
    (folder / "cloud").mkdir()
    cloud = start_cloud(folder / "cloud")
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(cloud.clouds_yaml)
    helper = Path(__file__).with_name("one_publication.py")
    create: list[str | Path] = [BIN / "openstack", "--os-cloud", "member", "image", "create", "--file", image]
    commands: dict[str, list[str | Path]] = {
        OURS: [sys.executable, helper, "member", "bench", image, manifest, workshop.args.method],
        THEIRS: [*create, "--disk-format", "qcow2", "--container-format", "bare", "bench"],
    }

    def one_round(number: int) -> Iterator[tuple[str, Job]]:
        # Who begins changes by turns.
        for who in commands if number % 2 == 0 else reversed(commands):
            yield who, lambda who=who: uploaded(cloud, image, commands[who])  # type: ignore[misc]

    try:
        yield one_round
    finally:
        cloud.close()


SUITE = Suite(ROWS, PROMISES, opened)

if __name__ == "__main__":
    sys.exit(main(SUITE, __doc__))
