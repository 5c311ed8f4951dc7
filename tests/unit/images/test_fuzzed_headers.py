"""A thousand broken headers of each format: refused, or safe to open; never a traceback, never slow, never large."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from image_samples import FORMATS, MIB, image, with_footer

from goldsmith.errors import InputError
from goldsmith.host.disk_format import DiskFormat
from goldsmith.images.qemu import qemu_img
from goldsmith.images.untrusted import Header, looked_at

MUTATIONS = 1000
#: seconds of this process for one look: a hundred times what the longest took
LONGEST = 5.0
#: what all looks together may add to this process
MEMORY = 256 * MIB
#: of the images that are let in, QEMU is shown the first of so many: all of them would be minutes
EACH = 10

KIB = 2**10
#: where a format keeps what leads somewhere: offset, negative from the end, and length
REGIONS: dict[str, tuple[tuple[int, int], ...]] = {
    "qcow2": ((0, 112), (112, 400), (64 * KIB, 64)),
    "raw": ((0, 512), (440, 72), (512, 92), (1024, 256)),
    "vmdk": ((0, 80), (512, 400), (-1536, 1536)),
    "vhd": ((0, 84), (512, 80), (576, 600), (1536, 64), (-512, 84)),
    "vhdx": ((0, 16), (64 * KIB, 80), (128 * KIB, 80), (192 * KIB, 80), (2 * MIB, 200), (2 * MIB + 64 * KIB, 64)),
}
NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x1000, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    b'parentFileNameHint="/etc/shadow"\n',
    b"parentCID=00000000\n",
    b'createType="monolithicFlat"\nRW 8 FLAT "/etc/shadow" 0\n',
    b"/etc/shadow\0",
    b"QFI\xfb\0\0\0\3",
    b"KDMV\1\0\0\0",
    b"conectix\0\0\0\2",
    b"vhdxfile",
    b"# Disk DescriptorFile\n",
    b"\x44\x41\x54\x41\0\0\0\x0b/etc/shadow",
    b"\xff" * 16,
    bytes(16),
)


def mutated(content: bytearray, kind: str, dice: random.Random) -> bytearray:
    """A copy with one to four things wrong in it."""
    found = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        start, length = dice.choice(REGIONS[kind])
        at = (start if start >= 0 else len(content) + start) + dice.randrange(length)
        change = dice.randrange(6)
        if change == 0:
            found[at : at + 1] = bytes([dice.randrange(256)])
        elif change == 1:
            found[at] ^= 1 << dice.randrange(8)
        elif change in (2, 3):
            width, order = dice.choice((2, 4, 8)), dice.choice(("little", "big"))
            at -= at % width
            number = dice.choice(NUMBERS) % 256**width
            found[at : at + width] = number.to_bytes(width, order)  # type: ignore[arg-type]
        elif change == 4:
            word = dice.choice(WORDS)
            found[at : at + len(word)] = word
        elif dice.randrange(4) == 0:
            del found[dice.choice((at, dice.randrange(1, len(found)))) :]
            found = found or bytearray(b"\0")
            break
        else:
            found[at : at + 16] = dice.randbytes(16)
    return found


def looks(file: Patched, kind: str) -> Iterator[tuple[int, Header | None]]:
    """The number of each broken image with what the door says of it; ``file`` is that image then."""
    path = file.path
    content = bytearray(path.read_bytes())
    dice = random.Random(f"goldsmith {kind}")
    for index in range(MUTATIONS):
        broken = mutated(content, kind, dice)
        file.become(broken)
        started = time.process_time()
        try:
            header: Header | None = looked_at(path)
        except InputError as error:
            header = None
            assert error.message and "\n" not in error.message, f"mutation {index}"
        assert time.process_time() - started < LONGEST, f"mutation {index}"
        yield index, header


class Patched:
    """A file of which only what differs is written, for a thousand versions of it one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._now = bytearray(path.read_bytes())

    def become(self, content: bytearray) -> None:
        with self.path.open("r+b") as stream:
            if len(content) < len(self._now):
                stream.truncate(len(content))
            for at in range(0, len(content), 64 * KIB):
                piece, old = content[at : at + 64 * KIB], self._now[at : at + 64 * KIB]
                if piece != old and (old or any(piece)):
                    stream.seek(at)
                    stream.write(piece)
            stream.truncate(len(content))
        self._now = content


def other_files(path: Path, form: DiskFormat) -> list[str]:
    """The files besides ``path`` that QEMU would take for parts of it; none where it cannot open it."""
    done = qemu_img(["info", "-U", "-f", form, "--output=json", path], 30)
    if done.returncode:
        # Refused, and by an exit: nothing crashed.
        assert done.returncode == 1, done
        return []
    return [name for name in names_in(json.loads(done.stdout)) if name != str(path)]


def names_in(document: object) -> list[str]:
    if isinstance(document, dict):
        keys = ("filename", "backing-filename", "full-backing-filename", "data-file")
        own = [document[key] for key in keys if key in document]
        return own + [name for value in document.values() for name in names_in(value)]
    if isinstance(document, list):
        return [name for value in document for name in names_in(value)]
    return []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_broken_header_is_refused_or_harmless(tmp_path: Path, kind: str) -> None:
    path = image(tmp_path, kind)
    file = Patched(with_footer(path) if kind == "vmdk" else path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    let_in = refused = 0
    for index, header in looks(file, kind):
        refused += header is None
        if header:
            let_in += 1
            if let_in % EACH == 1:
                assert other_files(file.path, header.format) == [], f"mutation {index}"
    # A door that lets nothing or everything in would pass the rest.
    assert refused > MUTATIONS // 20
    assert let_in > EACH
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * KIB < MEMORY


@pytest.mark.parametrize(
    ("form", "options"),
    [("qcow2", ("-b", "/etc/hostname", "-F", "raw")), ("qcow2", ("-o", "data_file=other.raw"))],
)
def test_a_reference_is_seen(tmp_path: Path, form: DiskFormat, options: tuple[str, ...]) -> None:
    """The question that the test above asks QEMU has another answer where there is something to find."""
    path = tmp_path / "a"
    subprocess.run(["qemu-img", "create", "-q", "-f", form, *options, path, "8M"], cwd=tmp_path, check=True)
    assert other_files(path, form)
