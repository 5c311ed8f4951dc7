"""What publishing costs, against `openstack image create --file`: `make bench`.

Each round uploads the same 1 GiB qcow2 of random bytes to a real Keystone and a real Glance on loopback, once by
goldsmith, which reads it once, compares size, MD5 and sha512, and switches, and once by python-openstackclient, each
in a process of its own, from its start to its end; who begins changes by turns.  The image is removed in between.
Seconds are medians of the rounds, memory is the most of any; the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from goldsmith.host.files import file_digest
from goldsmith.publish.glance.service import connect
from goldsmith.settings import PROJECT_ROOT
from goldsmith.store.manifest import Manifest

sys.path.insert(0, str(PROJECT_ROOT / "tests" / "system"))

from cloud_images import image as small_image
from cloud_services import BIN, Cloud, _empty, start_cloud

SIZE = 2**30
#: at most, of what `openstack image create` takes; and MiB of goldsmith's process
PROMISE, MEMORY = 1.1, 256
OURS, THEIRS = "goldsmith publish", "openstack image create"
#: Runs a command and says seconds, peak KiB and exit code.  A process of its own, since the kernel counts what its
#: parent held before exec as a child's peak.
_MEASURE = """
import json, os, sys, time
started = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(child, 0)
print(json.dumps([time.monotonic() - started, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


def random_image(folder: Path, size: int) -> tuple[Path, Path]:
    """A qcow2 that is as large as what it holds, and its manifest."""
    raw, path, manifest = folder / "raw", folder / "random.qcow2", folder / "random.json"
    with raw.open("wb") as stream:
        for _ in range(size // 2**20):
            stream.write(os.urandom(2**20))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
    raw.unlink()
    _, like = small_image(folder / "small", "small")
    own = {"sha256": file_digest(path), "sha512": file_digest(path, "sha512"), "size": path.stat().st_size}
    facts = Manifest.model_validate(like.model_dump() | own | {"virtual_size": size})
    manifest.write_text(facts.model_dump_json())
    return path, manifest


def measured(cloud: Cloud, *words: str | Path) -> dict[str, float]:
    """Seconds and MiB of a command.  Ends the benchmark where the command fails."""
    environment = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(cloud.clouds_yaml)}
    # What the round before has written must not be on this one's bill.
    os.sync()
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", _MEASURE, *(str(word) for word in words)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, kib, code = json.loads(done.stdout)
    if code:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr}")
    return {"seconds": seconds, "MiB": kib / 1024}


def one_round(
    cloud: Cloud, image: Path, manifest: Path, method: str, *, ours_first: bool
) -> dict[str, dict[str, float]]:
    """Both ways of uploading, each into an empty project."""
    helper = Path(__file__).with_name("one_publication.py")
    create = [BIN / "openstack", "--os-cloud", "member", "image", "create", "--file", image]
    commands: dict[str, list[str | Path]] = {
        OURS: [sys.executable, helper, "member", "bench", image, manifest, method],
        THEIRS: [*create, "--disk-format", "qcow2", "--container-format", "bare", "bench"],
    }
    found = {}
    for who in commands if ours_first else reversed(commands):
        found[who] = measured(cloud, *commands[who])
        glance = connect("member")
        held = [each for each in glance.images(name="bench") if each["status"] == "active"]
        # A command that says well and has uploaded something else was not measured.
        digest = hashlib.file_digest(image.open("rb"), "sha512").hexdigest()
        assert [each["os_hash_value"] for each in held] == [digest], held
        _empty(glance)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mebibytes", type=int, default=SIZE // 2**20, help="size of the image")
    parser.add_argument("--method", choices=("put", "import"), default="put")
    parser.add_argument("--json", action="store_true", help="every round's figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="goldsmith-bench-") as name:
        folder = Path(name)
        image, manifest = random_image(folder, args.mebibytes * 2**20)
        (folder / "cloud").mkdir()
        cloud = start_cloud(folder / "cloud")
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(cloud.clouds_yaml)
        try:
            rounds = []
            for number in range(args.rounds):
                rounds.append(one_round(cloud, image, manifest, args.method, ours_first=number % 2 == 0))
                said = [f"{who} {each['seconds']:.1f} s, {each['MiB']:.0f} MiB" for who, each in rounds[-1].items()]
                print(f"round {number + 1}: {'; '.join(sorted(said))}", file=sys.stderr)
        finally:
            cloud.close()
    if args.json:
        print(json.dumps(rounds, indent=2))
        return 0
    ratio = statistics.median(each[OURS]["seconds"] / each[THEIRS]["seconds"] for each in rounds)
    for who in (OURS, THEIRS):
        seconds = statistics.median(each[who]["seconds"] for each in rounds)
        print(f"{who:<24} {seconds:7.1f} s {max(each[who]['MiB'] for each in rounds):7.0f} MiB")
    memory = max(each[OURS]["MiB"] for each in rounds)
    print(f"{'ratio':<24} {ratio:9.2f}  at most {PROMISE}: {'kept' if ratio <= PROMISE else 'NOT KEPT'}")
    print(f"{'memory':<24} {memory:7.0f} MiB  at most {MEMORY}: {'kept' if memory <= MEMORY else 'NOT KEPT'}")
    return 0 if ratio <= PROMISE and memory <= MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
