"""The commands that talk to clouds, as an operator runs them, against a real Keystone and Glance."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cloud_recipes import proven
from cloud_services import PASSWORD, Cloud, free_port
from fault_proxy import Fault, proxy

from goldsmith import cli
from goldsmith.errors import ExitCode
from goldsmith.publish.glance.service import Glance, properties_of


@dataclass
class Desk:
    """Where the operator works; ``said`` is all that commands have printed, on both streams."""

    folder: Path
    said: str = ""

    def run(self, *words: str | Path) -> tuple[int, str, str]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = cli.main([str(word) for word in words])
        self.said += out.getvalue() + error.getvalue()
        return code, out.getvalue(), error.getvalue()

    def json(self, *words: str | Path) -> tuple[int, dict[str, Any]]:
        code, out, error = self.run("--json", *words)
        assert out, error
        return code, json.loads(out)


@pytest.fixture
def desk(cloud: Cloud, member: Glance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("GOLDSMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GOLDSMITH_IMAGES", str(tmp_path / "images"))
    dead = cloud.entry("member", image_endpoint_override=f"http://127.0.0.1:{free_port()}")
    path = cloud.write_clouds(tmp_path / "clouds.yaml", dead=dead)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    return Desk(tmp_path)


def _visible(glance: Glance) -> list[tuple[str, str]]:
    return [(image["name"], image["id"]) for image in glance.images() if not image["os_hidden"]]


def test_plan_publish_change_and_roll_back(desk: Desk, member: Glance) -> None:
    recipe = proven(desk.folder, "one", hw_rng_model="virtio")
    code, document = desk.json("plan", recipe, "--cloud", "member")
    (told,) = document["recipes"][0]["clouds"]
    assert (code, told["image"], told["upload"]["needed"]) == (0, None, True)
    assert told["upload"]["reason"] == "no image is called 'Small'"
    assert told["add"]["hw_rng_model"] == {"value": "virtio", "origin": "the recipe"}
    assert member.images() == []

    code, document = desk.json("publish", recipe, "--cloud", "member")
    (done,) = document["recipes"][0]["clouds"]
    assert (code, done["did"], _visible(member)) == (0, "published", [("Small", done["image"])])
    code, out, _ = desk.run("publish", recipe, "--cloud", "member")
    assert code == 0
    assert f"member: nothing to do, {done['image']} is visible" in out
    code, out, _ = desk.run("plan", recipe, "--cloud", "member")
    assert "member: no upload, the same bytes are there" in out
    assert not [line for line in out.splitlines() if line.strip().startswith(("+", "~", "-"))], out

    # Other properties of the same bytes: what the plan says is what is done, and no bytes are sent.
    proven(desk.folder, "one", hw_disk_bus="scsi", hw_scsi_model="virtio-scsi")
    member.patch(done["image"], [{"op": "add", "path": "/by_hand", "value": "1"}])
    code, out, _ = desk.run("plan", recipe, "--cloud", "member")
    assert "    ~ hw_disk_bus=scsi, was virtio (the recipe)" in out
    assert "    + hw_scsi_model=virtio-scsi (the recipe)" in out
    assert "    - by_hand=1 (" in out
    assert "    - hw_rng_model=virtio (" in out
    code, document = desk.json("publish", recipe, "--cloud", "member")
    (changed,) = document["recipes"][0]["clouds"]
    assert (changed["did"], changed["image"]) == ("reconciled", done["image"])
    now = properties_of(member.images()[0])
    assert (now["hw_disk_bus"], now["hw_scsi_model"]) == ("scsi", "virtio-scsi")
    assert not {"by_hand", "hw_rng_model"} & set(now)

    # Another image, and back.
    proven(desk.folder, "two")
    code, out, _ = desk.run("publish", recipe, "--cloud", "member")
    assert code == 0
    assert f"instead of {done['image']}" in out
    code, out, _ = desk.run("rollback", "Small", "--cloud", "member")
    assert code == 0
    assert _visible(member) == [("Small", done["image"])]
    assert f"{done['image']} is visible" in out
    assert PASSWORD not in desk.said


def test_a_dead_cloud_does_not_hold_up_the_other_and_the_next_run_completes(
    desk: Desk, cloud: Cloud, member: Glance
) -> None:
    recipe = proven(desk.folder, "one")
    code, document = desk.json("publish", recipe, "--cloud", "dead", "--cloud", "member")
    assert code == ExitCode.HOST
    dead, living = document["recipes"][0]["clouds"]
    assert (dead["cloud"], dead["exit_code"], dead["error"]["kind"]) == ("dead", 3, "HostError")
    assert (living["did"], len(_visible(member))) == ("published", 1)
    code, out, _ = desk.run("publish", recipe, "--cloud", "dead", "--cloud", "member")
    assert code == ExitCode.HOST
    assert "dead: FAILED, cloud dead: no answer" in out
    assert "member: nothing to do" in out
    # It lives again: another project of the same cloud stands for it.
    cloud.write_clouds(desk.folder / "clouds.yaml", dead=cloud.entry("other"))
    code, document = desk.json("publish", recipe, "--cloud", "dead", "--cloud", "member")
    assert code == 0
    assert [told["did"] for told in document["recipes"][0]["clouds"]] == ["published", "nothing"]
    assert PASSWORD not in desk.said


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("publish", "RECIPE", "--cloud", "nowhere"), 2, "nowhere"),
        (("publish", "RECIPE", "--cloud", "reader"), 2, "403"),
        (("rollback", "Nothing", "--cloud", "member"), 2, "no former image"),
        (("plan", "RECIPE", "--cloud", "dead"), 3, "no answer"),
        (("audit", "--cloud", "dead"), 3, "no answer"),
    ],
)
def test_what_cannot_be_done_has_its_code_and_its_words(
    desk: Desk, member: Glance, words: tuple[str, ...], code: int, says: str
) -> None:
    recipe = str(proven(desk.folder, "one"))
    seen, out, error = desk.run(*(recipe if word == "RECIPE" else word for word in words))
    assert (seen, says in out + error) == (code, True), out + error
    assert member.images() == []
    assert "Traceback" not in out + error


def test_no_password_is_told_or_kept(desk: Desk, member: Glance, caplog: pytest.LogCaptureFixture) -> None:
    # What every library would say, not only what -v shows of it.
    caplog.set_level(logging.DEBUG)
    recipe = proven(desk.folder, "one")
    desk.run("-v", "publish", recipe, "--cloud", "member")
    desk.run("-v", "plan", recipe, "--cloud", "member", "--cloud", "dead")
    desk.run("-v", "audit", "--cloud", "member")
    assert "REQ: curl" in caplog.text
    assert PASSWORD not in desk.said + caplog.text
    assert PASSWORD not in json.dumps(member.images())
    kept = [path for place in ("cache", "images") for path in (desk.folder / place).rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_an_image_without_proof_is_refused(desk: Desk, member: Glance) -> None:
    recipe = proven(desk.folder, "one")
    for path in (desk.folder / "cache/proofs").iterdir():
        path.unlink()
    code, out, error = desk.run("publish", recipe, "--cloud", "member")
    assert code == ExitCode.BAD_INPUT
    assert "no verdicts of a boot" in out + error
    assert member.images() == []


def test_a_lost_renaming_is_no_reason_to_roll_back_again(desk: Desk, cloud: Cloud, member: Glance) -> None:
    ids = []
    for content in ("one", "two"):
        _, document = desk.json("publish", proven(desk.folder, content), "--cloud", "member")
        ids.append(document["recipes"][0]["clouds"][0]["image"])
    with proxy(cloud.glance.port) as between:
        odd = cloud.entry("member", image_endpoint_override=between.url)
        cloud.write_clouds(desk.folder / "clouds.yaml", odd=odd)
        # Three make the switch, the fourth renames the image that was hidden.
        between.faults = [Fault(r"PATCH .*", times=3), Fault(r"PATCH .*", status=500)]
        assert desk.run("rollback", "Small", "--cloud", "odd")[0] == ExitCode.GOOD
        assert [fault.times for fault in between.faults] == [0, 0]
    assert _visible(member) == [("Small", ids[0])]
    # The next publication gives it the name that it should have had.
    assert desk.run("publish", proven(desk.folder, "one"), "--cloud", "member")[0] == ExitCode.GOOD
    assert {image["name"] for image in member.images() if image["os_hidden"]} == {f"Small.replaced-{ids[1][:8]}"}


def test_an_answer_that_is_no_json_is_that_clouds_failure(desk: Desk, cloud: Cloud, member: Glance) -> None:
    recipe = proven(desk.folder, "one")
    with proxy(cloud.glance.port) as between:
        odd = cloud.entry("member", image_endpoint_override=between.url)
        cloud.write_clouds(desk.folder / "clouds.yaml", odd=odd)
        between.faults = [Fault(r"GET .*/images", status=200, times=9)]
        code, document = desk.json("publish", recipe, "--cloud", "odd", "--cloud", "member")
    failed, living = document["recipes"][0]["clouds"]
    assert (code, failed["exit_code"], living["did"]) == (ExitCode.HOST, 3, "published")
    assert failed["error"]["kind"] == "HostError"


def test_nothing_is_sent_where_one_of_the_recipes_has_no_image(desk: Desk, member: Glance) -> None:
    good, other = proven(desk.folder, "one"), proven(desk.folder, "two", name="bare", publish="Bare")
    (desk.folder / "cache/recipes/bare.json").unlink()
    code, _, error = desk.run("publish", good, other, "--cloud", "member")
    assert code == ExitCode.BAD_INPUT
    assert "has no image" in error
    assert member.images() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_interrupts_an_upload_leaves_nothing(
    desk: Desk, cloud: Cloud, member: Glance, number: signal.Signals
) -> None:
    code, document = desk.json("publish", proven(desk.folder, "one"), "--cloud", "member")
    assert code == ExitCode.GOOD
    old = document["recipes"][0]["clouds"][0]["image"]
    recipe = proven(desk.folder, "two", size=8 * 2**20)
    with proxy(cloud.glance.port) as between:
        slow = cloud.entry("member", image_endpoint_override=between.url)
        cloud.write_clouds(desk.folder / "clouds.yaml", slow=slow)
        # What a shell puts in the background ignores SIGINT, and so do its children.
        env = ["env", "--default-signal=INT"]
        argv = [*env, sys.executable, "-m", "goldsmith.cli", "publish", str(recipe), "--cloud", "slow"]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def interrupt() -> None:
            process.send_signal(number)
            time.sleep(1)

        between.faults = [Fault(r"PUT .*/file", share=0.2, act=interrupt, cut=False)]
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "nothing half-made was left" in error
    assert _visible(member) == [("Small", old)]
    assert [image["id"] for image in member.images()] == [old]
