"""A disk that is full, really: `goldsmith build` and `goldsmith gc` on a small file system of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bake_help import Mirror

#: argv: the folder of bake_help, the cache, a recipe, what fills the disk.  Prints what it saw as JSON, last
PROGRAM = """\
import contextlib, io, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
cache, recipe, manner = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
from bake_help import make_plan
from goldsmith import cli
from goldsmith.bake import build
from goldsmith.host.run import run
from goldsmith.store.artefacts import ArtefactStore
from goldsmith.store.manifest import Manifest, write

store = ArtefactStore(cache / "artefacts")
store.put("tree", "a" * 64, lambda folder: (folder / "tar").write_bytes(bytes(5 * 2**20)))
store.put("tree", "b" * 64, lambda folder: (folder / "tar").write_bytes(b"small"))

def bake(plan, archive, settings, progress, folder, **named):
    image = folder / build.IMAGE
    if manner == "tool":
        run(["dd", "if=/dev/zero", f"of={image}", "bs=1M", "count=4"], deadline=60)
    elif manner == "mute":
        run(["sh", "-c", 'dd if=/dev/zero of="$1" bs=1M count=4 2>/dev/null', "sh", image], deadline=60)
    else:
        image.write_bytes(bytes(4 * 2**20))
    facts = {"base": {"distribution": "debian"}, "elements": (), "firmware": ("bios",), "goldsmith_version": "0"}
    digests = {"recipe_digest": plan.digest, "sha256": "a" * 64, "sha512": "a" * 128}
    document = {**facts, **digests, "name": "test", "inputs": plan.inputs, "size": 1, "virtual_size": 1}
    write(folder / build.MANIFEST, Manifest.model_validate(document))

build._bake = bake
build.require_space = lambda *words: None

def command(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*words, "--json"])
    return [code, json.loads(out.getvalue()), err.getvalue()]

def there():
    return sorted(f"{each.kind} {each.digest[0]}" for each in store.stored())

def leftovers():
    return [str(path) for path in cache.rglob("*") if ".part" in path.name]

seen = {"first": command("build", recipe), "left": leftovers(), "there": there(),
        "usable": [bool(store.get("tree", letter * 64)) for letter in "ab"]}
# Not a byte and no inode is free any more.
with contextlib.suppress(OSError):
    with (cache / "filler").open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass
made = []
with contextlib.suppress(OSError):
    while True:
        (cache / f"filler{len(made)}").mkdir()
        made.append(cache / f"filler{len(made)}")
seen["still"] = [bool(store.get("tree", letter * 64)) for letter in "ab"]
os.utime(store.root / "tree" / ("a" * 64) / "artefact.json", (1, 1))
seen["gc"] = command("gc", "--all")
for folder in made:
    folder.rmdir()
(cache / "filler").unlink()
seen["second"] = command("build", recipe)
seen["after"] = there()
print(json.dumps(seen))
"""


def on_a_small_disk(mirror: Mirror, tmp_path: Path, manner: str) -> dict[str, Any]:
    small = tmp_path / "small"
    small.mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: test\nbase: {distribution: debian, release: trixie}\nelements: []\n")
    mount = 'mount -t tmpfs -o size=8m,nr_inodes=200 none "$1" && shift && exec "$@"'
    program = [sys.executable, "-c", PROGRAM, Path(__file__).parent, small / "cache", recipe, manner]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", small, *program],
        env={
            "GOLDSMITH_CACHE": f"{small}/cache",
            "GOLDSMITH_WORK": str(tmp_path / "work"),
            "GOLDSMITH_MIRROR": mirror.url,
            "PATH": "/usr/bin:/bin",
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize("manner", ["written", "tool", "mute"])
def test_a_full_disk(mirror: Mirror, tmp_path: Path, manner: str) -> None:
    mirror.publish("trixie", {"bash": "1"})
    seen = on_a_small_disk(mirror, tmp_path, manner)
    code, document, said = seen["first"]
    assert (code, document["exit_code"], document["error"]["kind"]) == (3, 3, "HostError"), said
    if manner == "written":
        assert document["error"]["message"] == "the disk is full"
        assert document["error"]["where"].startswith(f"{tmp_path}/small/cache/artefacts/image/")
    else:
        assert document["error"]["message"].startswith("a disk is full\n")
    assert "goldsmith gc" in said and f"{tmp_path}/small/cache" in said
    # A tool's own words are not lost.
    assert ("dd if=/dev/zero" in said) == (manner != "written")
    assert seen["left"] == []
    assert (seen["there"], seen["usable"], seen["still"]) == (["tree a", "tree b"], [True, True], [True, True])
    code, document, said = seen["gc"]
    assert (code, [item["name"] for item in document["removed"]]) == (0, [f"tree {'a' * 12}", f"tree {'b' * 12}"]), said
    code, document, said = seen["second"]
    assert (code, document["recipes"][0]["built"]) == (0, True), said
    assert [name.split()[0] for name in seen["after"]] == ["image"]
