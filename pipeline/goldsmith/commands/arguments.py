"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def console_rules(parser: argparse.ArgumentParser) -> None:
    """--console-rules FILE"""
    parser.add_argument(
        "--console-rules",
        metavar="FILE",
        type=Path,
        help="YAML with rules, require and ignore: what the serial console must and must not show (docs/boots.md)",
    )


def recipes(parser: argparse.ArgumentParser) -> None:
    """RECIPE..."""
    parser.add_argument(
        "recipes", metavar="RECIPE", nargs="+", type=Path, help="a recipe's file, such as recipes/debian-13.yaml"
    )


def clouds(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """--cloud NAME"""
    parser.add_argument(
        "--cloud",
        metavar="NAME",
        action="append",
        default=[],
        required=required,
        help="an entry of clouds.yaml, or envvars for OS_* variables; can be given several times (docs/clouds.md)",
    )


def method(parser: argparse.ArgumentParser) -> None:
    """--method WAY"""
    parser.add_argument(
        "--method",
        choices=("put", "import"),
        default="put",
        help="how bytes go to a cloud: put, or import by glance-direct, which copies them once more (default: put)",
    )


def signing(parser: argparse.ArgumentParser) -> None:
    """--sign-key FILE and --sign-certificate UUID"""
    parser.add_argument(
        "--sign-key",
        metavar="FILE",
        type=Path,
        help="sign images for clouds: an RSA private key in PEM without a passphrase",
    )
    parser.add_argument(
        "--sign-certificate",
        metavar="UUID",
        help="the id of that key's certificate in the clouds' key manager",
    )


def store(parser: argparse.ArgumentParser) -> None:
    """--verify-store and what belongs to it"""
    parser.add_argument(
        "--verify-store",
        action="store_true",
        help="after publishing to a Glance that stores in Swift, compare size and ETags there (docs/clouds.md)",
    )
    parser.add_argument(
        "--store-cloud", metavar="NAME", help="the entry of clouds.yaml that sees Swift (default: that of --cloud)"
    )
    parser.add_argument(
        "--store-container",
        metavar="NAME",
        help="Glance's swift_store_container, where Glance does not show it (default: glance)",
    )
    parser.add_argument(
        "--store-devices",
        metavar="FOLDER",
        type=Path,
        help="on a storage node, the folder of its devices (/srv/node): compare the metadata at rest too",
    )
    parser.add_argument(
        "--swift-conf",
        metavar="FILE",
        type=Path,
        help="the cluster's swift.conf, for --store-devices (default: /etc/swift/swift.conf)",
    )


def recovery(parser: argparse.ArgumentParser) -> None:
    """--recover-registry"""
    parser.add_argument(
        "--recover-registry",
        action="store_true",
        help="a Windows that was not shut down: replay the transaction logs of its registry before it is changed",
    )


def shape(parser: argparse.ArgumentParser) -> None:
    """--property K=V and --datasource WHAT"""
    parser.add_argument(
        "--property",
        metavar="K=V",
        action="append",
        default=[],
        help="shape the machine by this property, as Nova does; before a recipe's; can be given several times",
    )
    parser.add_argument(
        "--datasource",
        choices=("metadata", "config-drive", "nocloud"),
        default="metadata",
        help="where the guest learns about itself (default: the metadata service)",
    )
