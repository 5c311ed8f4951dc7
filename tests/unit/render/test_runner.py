"""The rendered boothook, run for real in a root of its own."""

from __future__ import annotations

import dataclasses
import re

import pytest
from render_help import Root

from goldsmith.recipe.loader import load
from goldsmith.recipe.plan import make_plan
from goldsmith.render.cloud_config import Rendered, render
from goldsmith.settings import PROJECT_ROOT, from_environment
from workplace import Workplace

STATE = "var/lib/goldsmith/cloud-config"

SCHEMA = """
    summary: Marks
    parameters:
      type: object
      properties:
        text: {type: string, default: plain, x-dib: {variable: DIB_MARK_TEXT}}
        link: {type: [string, "null"], default: null, x-dib: {variable: DIB_MARK_LINK}}
"""


def _mark(work: Workplace, **files: str) -> None:
    files.setdefault("post_install_d", 'echo "$DIB_MARK_TEXT" >> /etc/mark')
    work.element("mark", schema=SCHEMA, **files)


def _done(root: Root, rendered: Rendered) -> bool:
    return root.exists(f"{STATE}/{rendered.digest}.done") and not root.exists(f"{STATE}/work")


def test_parameters_reach_the_scripts_as_they_are(work: Workplace, root: Root) -> None:
    _mark(work)
    nasty = 'it\'s $HOME `id` \\"x\\" ü %s'
    rendered = work.render(f'mark: {{text: "{nasty}"}}')
    assert root.boot(rendered).returncode == 0
    assert root.text("etc/mark") == nasty.replace('\\"', '"') + "\n"
    assert _done(root, rendered)


def test_a_default_comes_from_environment_d_and_a_recipe_wins(work: Workplace, root: Root) -> None:
    _mark(work, post_install_d='echo "$DIB_MARK_TEXT $DIB_MARK_LINK $DIB_OTHER" > /etc/mark')
    work.write("elements/mark/environment.d/10-mark.bash", "export DIB_MARK_LINK=${DIB_MARK_LINK:-of-old}\n")
    rendered = work.render("mark: {text: new}", more="environment: {DIB_OTHER: other}")
    assert root.boot(rendered).returncode == 0
    assert root.text("etc/mark") == "new of-old other\n"


def test_a_second_boot_changes_nothing(work: Workplace, root: Root) -> None:
    _mark(work)
    rendered = work.render("mark")
    first, second = root.boot(rendered), root.boot(rendered)
    assert (first.returncode, second.returncode, second.stdout) == (0, 0, "")
    assert root.text("etc/mark") == "plain\n"


def test_another_rendering_is_applied(work: Workplace, root: Root) -> None:
    _mark(work)
    for text in ("one", "two"):
        assert root.boot(work.render(f"mark: {{text: {text}}}")).returncode == 0
    assert root.text("etc/mark") == "one\ntwo\n"


def test_phases_run_in_dibs_order_over_all_elements(work: Workplace, root: Root) -> None:
    order = "echo ${0##*/work/} >> /etc/order"
    _mark(work, post_install_d=order, install_d=order, boot_d=order, finalise_d=order)
    work.element("other")
    work.script("other", "pre-install.d/90-last", order)
    work.script("other", "install.d/10-early", order)
    work.script("other", "install.d/60-quiet", order, mode=0o644)
    assert root.boot(work.render("mark", "other")).returncode == 0
    assert root.text("etc/order").split() == [
        "pre-install.d/90-last",
        "install.d/10-early",
        "install.d/50-mark",
        "post-install.d/50-mark",
        "finalise.d/50-mark",
        "boot.d/50-mark",
    ]


def test_phases_can_be_chosen(work: Workplace, root: Root) -> None:
    _mark(work, finalise_d="exit 1", boot="at_boot: applied\nphases: [post-install.d]\n")
    assert root.boot(work.render("mark")).returncode == 0


def test_static_files_are_laid_over_the_root(work: Workplace, root: Root) -> None:
    _mark(work)
    work.write("elements/mark/element-deps", "install-static\n")
    work.write("elements/mark/static/etc/kept/a", "mine\n")
    work.write("elements/mark/static/lib/tool", "#!/bin/sh\n", mode=0o755)
    (work.root / "elements/mark/static/etc/kept/link").symlink_to("a")
    (root.folder / "etc/kept").mkdir(mode=0o700)
    assert root.boot(work.render("mark")).returncode == 0
    assert root.text("etc/kept/link") == "mine\n"
    # /lib is a link to usr/lib in every image of today, and must stay one.
    assert (root.folder / "lib").is_symlink()
    assert (root.folder / "usr/lib/tool").stat().st_mode & 0o777 == 0o755
    assert (root.folder / "etc/kept").stat().st_mode & 0o777 == 0o700


def test_a_script_that_fails_stops_it_until_the_next_boot(work: Workplace, root: Root) -> None:
    _mark(work, install_d="[ -e /etc/ready ]")
    rendered = work.render("mark")
    failed = root.boot(rendered)
    assert failed.returncode == 1
    assert "install.d/50-mark failed; it is tried again at the next boot" in failed.stdout
    assert not root.exists("etc/mark")
    assert not _done(root, rendered)
    (root.folder / "etc/ready").touch()
    assert root.boot(rendered).returncode == 0
    assert _done(root, rendered)


@pytest.mark.parametrize(
    "release",
    [
        "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n",
        "ID=ubuntu\nVERSION_ID=24.04\nVERSION_CODENAME=trixie\n",
        "ID=debian\n",
    ],
)
def test_another_release_is_left_alone(work: Workplace, root: Root, release: str) -> None:
    _mark(work)
    (root.folder / "etc/os-release").write_text(release)
    refused = root.boot(work.render("mark"))
    assert refused.returncode == 1
    assert "made for debian trixie, and this is" in refused.stdout
    assert "nothing was changed" in refused.stdout
    assert not root.exists("etc/mark")


def test_missing_packages_are_named_and_nothing_is_changed(work: Workplace, root: Root) -> None:
    _mark(work, package_installs="tool:\nkept:\n")
    root.answers["dpkg-query"] = '[ "$4" = tool ] && exit 1; echo installed'
    refused = root.boot(work.render("mark"))
    assert refused.returncode == 1
    assert "packages are missing: tool: nothing was changed" in refused.stdout
    assert not root.exists("etc/mark")
    assert not [call for call in root.calls() if call.startswith("apt-get")]


def test_packages_are_installed_where_that_is_allowed(work: Workplace, root: Root) -> None:
    _mark(work, package_installs="tool:\nkept:\n")
    root.answers["dpkg-query"] = '[ "$4" = kept ] && echo installed'
    # Package scripts must not start services: they would wait for cloud-init, and it for them.
    root.answers["apt-get"] = "/usr/sbin/policy-rc.d; echo $? >> /etc/policy"
    done = root.boot(work.render("mark", more="packages: [htop]", install_packages=True))
    calls = [call for call in root.calls() if call.startswith("apt-get")]
    assert calls == ["apt-get -q update", "apt-get -qy --no-install-recommends install htop tool"]
    assert done.returncode == 0, done.stdout
    assert root.text("etc/policy").split() == ["101", "101"]
    assert not root.exists("usr/sbin/policy-rc.d")


def test_a_package_that_cannot_be_installed_changes_nothing(work: Workplace, root: Root) -> None:
    _mark(work, package_installs="tool:\n")
    root.answers |= {"dpkg-query": "exit 1", "apt-get": '[ "$2" = update ]'}
    refused = root.boot(work.render("mark", install_packages=True))
    assert refused.returncode == 1
    assert "could not install tool" in refused.stdout
    assert not root.exists("etc/mark")


def test_a_reboot_is_asked_for_once_and_holds_cloud_init_back(work: Workplace, root: Root) -> None:
    _mark(work, boot_d='touch "$GOLDSMITH_BOOT/reboot" "$GOLDSMITH_BOOT/network"')
    (root.folder / "var/lib/cloud/instance/sem/consume_data").touch()
    rendered = work.render("mark")
    assert root.boot(rendered).returncode == 0
    # No restart of the network for the few seconds that are left.
    assert root.calls() == ["systemctl reboot", "sleep 300"]
    assert not root.exists("var/lib/cloud/instance/sem/consume_data")
    assert _done(root, rendered)
    assert root.boot(rendered).returncode == 0
    assert root.calls().count("systemctl reboot") == 1


@pytest.mark.parametrize(
    ("systemctl", "restarted"),
    [
        ('[ "$1 $3" != "is-enabled networking.service" ]', ["systemd-networkd.service"]),
        ('case "$*" in *is-enabled*|*is-active*Net*|*is-active*dhcpcd*) exit 1 ;; esac', ["networking.service"]),
        ('case "$*" in *is-enabled*|*is-active*) exit 1 ;; esac', []),
    ],
    ids=["networkd", "ifupdown", "nothing-started-yet"],
)
def test_the_network_is_configured_anew(work: Workplace, root: Root, systemctl: str, restarted: list[str]) -> None:
    _mark(work, boot_d='touch "$GOLDSMITH_BOOT/network"')
    root.answers["systemctl"] = systemctl
    for path in ("ens3/device", "ens4/device", "br0"):
        (root.folder / "sys/class/net" / path).mkdir(parents=True)
    assert root.boot(work.render("mark")).returncode == 0
    calls = [call for call in root.calls() if call.startswith(("systemctl restart", "ip "))]
    assert [call.split()[-1] for call in calls if call.startswith("systemctl")] == restarted
    # The old configuration goes with the link, before networkd makes the new one; the bridge is somebody else's.
    downed = (
        ["ip link set dev ens3 down", "ip link set dev ens4 down"] if "systemd-networkd.service" in restarted else []
    )
    assert calls[: len(downed)] == downed == [call for call in calls if call.startswith("ip ")]


def test_a_network_that_nobody_changed_is_left_alone(work: Workplace, root: Root) -> None:
    _mark(work)
    assert root.boot(work.render("mark")).returncode == 0
    assert root.calls() == []


def test_a_damaged_document_changes_nothing(work: Workplace, root: Root) -> None:
    _mark(work)
    rendered = work.render("mark")
    cut = dataclasses.replace(rendered, document=rendered.document[:-200])
    done = root.boot(cut)
    assert done.returncode == 1
    assert "what it carries is damaged" in done.stdout
    assert not root.exists("etc/mark")
    assert not _done(root, rendered)


def test_the_projects_own_elements_are_applied_twice_without_a_difference(root: Root) -> None:
    settings = from_environment({"HOME": "/nonexistent", "PATH": "/usr/bin"})
    plan = make_plan(load(PROJECT_ROOT / "recipes" / "debian-13.yaml", settings), settings)
    rendered = render(plan)
    (root.folder / "etc/default/grub.d").mkdir(parents=True)
    (root.folder / "etc/netplan").mkdir()
    (root.folder / "etc/netplan/50-cloud-init.yaml").touch()
    (root.folder / "proc/cmdline").write_text("root=/dev/vda1 quiet\n")
    first = root.boot(rendered)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Address=10.30.0.200/24" in root.text("etc/systemd/network/70-static-ens4.network")
    assert "network: {config: disabled}" in root.text("etc/cloud/cloud.cfg.d/95-networkd-owns-network.cfg")
    assert not root.exists("etc/netplan/50-cloud-init.yaml")
    assert "nomodeset" in root.text("etc/default/grub.d/60-text-console.cfg")
    assert re.search(r"^no_proxy=.*169\.254\.169\.254", root.text("etc/environment"), re.MULTILINE)
    assert "systemctl reboot" in root.calls()
    before = _snapshot(root)
    (root.folder / STATE / f"{rendered.digest}.done").unlink()
    assert root.boot(rendered).returncode == 0
    assert _snapshot(root) == before


def _snapshot(root: Root) -> dict[str, str]:
    return {
        str(path): str(path.readlink()) if path.is_symlink() else path.read_text()
        for folder in ("etc", "usr/lib/udev", "usr/lib/single-default-route")
        for path in sorted((root.folder / folder).rglob("*"))
        if path.is_symlink() or path.is_file()
    }
