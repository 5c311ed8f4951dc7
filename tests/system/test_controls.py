"""Negative controls: every check of the golden image fails on an image without the element, or with it spoiled."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.system

#: what must fail on an image with none of the elements (and hybrid-boot spoiled, and a password)
BARE = {
    "hybrid-boot": {"grower", "root-grew", "grub-regenerates"},
    "networkd": {"dhcp-file", "unit-enabled", "resolved", "configured", "address-1", "cloud-init-keeps-off"},
    "single-default-route": {"rule"},
    "text-console": {"grub-settings", "grub-terminal", "kernel-arguments", "no-framebuffer", "text-mode", "echo"},
    "metadata-frugal": {
        "datasource-list",
        "bounded",
        "no-proxy-login",
        "no-proxy-services",
        "no-proxy-user-services",
        "no-proxy-shells",
        "no-proxy-sudo",
    },
    "generalize": {"machine-id", "identity", "build-residue", "secrets"},
}

#: what must fail with networkd alone, the network spoiled
NETWORK = {
    "networkd": {"address-1", "verified", "mtu"},
    "single-default-route": {
        "rule",
        "prepared",
        "roles",
        "one-default",
        "one-default-ipv6",
        "default-on-primary",
        "no-other-default",
        "metadata-route",
        "metadata-answers",
        "outside-through-first",
    },
    "text-console": {"serial-getty"},
    "metadata-frugal": {"datasource-used", "requests"},
    "generalize": {"own-identity"},
}


def _failed(report):
    return {(v.element, v.check) for v in report.verdicts if v.status == "fail"}


def _pairs(table):
    return {(element, check) for element, checks in table.items() for check in checks}


@pytest.mark.parametrize(("control", "expected"), [("control-bare", BARE), ("control-network", NETWORK)])
def test_the_checks_fail_without_the_element(controls, control, expected):
    assert not _pairs(expected) - _failed(controls[control])


def test_no_check_is_without_a_control(golden_plan):
    everything = {(check.element, check.id) for check in golden_plan.checks}
    assert everything == _pairs(BARE) | _pairs(NETWORK)


def test_the_harness_was_sound(controls):
    """A broken harness must not pass for a failed check."""
    for name, report in controls.items():
        broken = {(v.element, v.check, v.seen) for v in report.verdicts if v.status == "broken"}
        assert not broken, name


def test_two_default_routes_are_named(controls):
    (verdict,) = [v for v in controls["control-network"].verdicts if v.check == "one-default"]
    assert verdict.layer == "live"
    assert verdict.expected
    assert verdict.seen.count("default") >= 2
    assert verdict.console
    assert "--check single-default-route/one-default" in verdict.repeat
