"""goldsmith boot."""

from __future__ import annotations

import argparse
import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING

from goldsmith.commands import arguments
from goldsmith.commands.context import Context, Outcome
from goldsmith.errors import InputError

if TYPE_CHECKING:
    from goldsmith.boot.hardware import Firmware
    from goldsmith.commands.boot_session import Vnc

NAME = "boot"
SUMMARY = "boot an image in the lab and sit at its console"
DESCRIPTION = """\
Boot an image in the machine and the networks that verify uses, with its serial console in this terminal.  Ctrl-] leaves
and switches the machine off; every other key, Ctrl-C too, is the guest's.  What the guest writes is thrown away.

    goldsmith boot recipes/debian-13.yaml --ssh-key ~/.ssh/id_ed25519.pub --ssh-port 2222
    goldsmith boot vendor.qcow2 --firmware uefi --property hw_machine_type=q35 --datasource config-drive --vnc

Needs a terminal, or --no-console: then the guest runs until it powers off, or Ctrl-C."""

MOST_NICS = 8
_KEY = re.compile(r"(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="RECIPE|IMAGE", type=Path, help="a recipe (*.yaml), or an image's file")
    parser.add_argument("--firmware", choices=("bios", "uefi"), help="by default what hw_firmware_type says, else bios")
    arguments.shape(parser)
    parser.add_argument("--user-data", metavar="FILE", type=Path, help="user-data for cloud-init")
    parser.add_argument("--ssh-key", metavar="FILE.pub", type=Path, help="public key that cloud-init lets in")
    parser.add_argument(
        "--vnc",
        metavar="ADDRESS",
        nargs="?",
        const="",
        help="serve the screen by VNC: on the first free port from 5900 on, on 127.0.0.1:PORT, or on a Unix socket"
        " (a path with a slash); write --vnc=ADDRESS before RECIPE|IMAGE",
    )
    parser.add_argument(
        "--ssh-port",
        metavar="PORT",
        type=int,
        help="lead this port of 127.0.0.1 to port 22 of the guest's first NIC; 0 is any that is free",
    )
    parser.add_argument("--nics", metavar="N", type=int, default=2, help=f"NICs, each on a network (1 to {MOST_NICS})")
    parser.add_argument("--keep", action="store_true", help="keep what the guest writes, and say where it is")
    parser.add_argument("--no-console", action="store_true", help="leave this terminal alone")


def execute(args: argparse.Namespace, context: Context) -> Outcome:
    from goldsmith.boot import terminal
    from goldsmith.boot.properties import firmware_from, not_applied, properties_of, shape_here
    from goldsmith.commands import boot_session, proofs, work
    from goldsmith.images.untrusted import image_format

    given = properties_of(args.property)
    user_data, key = _user_data(args.user_data), _key(args.ssh_key)
    vnc = vnc_of(args.vnc)
    _require_numbers(args.nics, args.ssh_port)
    if not args.no_console:
        if getattr(args, "json", False):
            raise InputError("stdout cannot be the console and a document", where="--json", hint="add --no-console")
        terminal.require_terminal(boot_session.KEYS, boot_session.SCREEN)
    properties = dict(given)
    image = args.target
    default: Firmware = "bios"
    if args.target.suffix in (".yaml", ".yml"):
        (plan,) = work.planned([args.target], context.settings)
        built = work.existing(plan, context)
        properties = {**proofs.properties(plan, built.manifest), **given}
        image = built.image
        default = plan.recipe.disk.firmware[0]
    firmware: Firmware = args.firmware or firmware_from(properties) or default
    wanted = boot_session.Wanted(
        image=image,
        image_format=image_format(image),
        firmware=firmware,
        shape=shape_here(properties, firmware),
        datasource=args.datasource,
        user_data=user_data,
        key=key,
        nics=args.nics,
        vnc=vnc,
        ssh_port=args.ssh_port,
        keep=args.keep,
        console=not args.no_console,
    )
    if ignored := not_applied(properties):
        context.progress.note(f"not applied to the machine: {', '.join(ignored)}")
    done = boot_session.run(wanted, context)
    document = {
        "image": str(image),
        "firmware": firmware,
        "shape": dataclasses.asdict(wanted.shape),
        "end": done.end,
        "seconds": round(done.seconds, 1),
        "kept": str(done.kept) if done.kept else None,
    }
    return Outcome(document, f"{image}: {boot_session.ENDS[done.end]} after {done.seconds:.0f} s")


def vnc_of(text: str | None) -> Vnc | None:
    """Where --vnc wants the screen.  Raises InputError for what is neither loopback nor a path."""
    from goldsmith.commands.boot_session import Vnc

    if text is None:
        return None
    if "/" in text:
        return Vnc(socket=Path(text).absolute())
    if not text:
        return Vnc()
    host, colon, port = text.partition(":")
    where = f"--vnc {text}"
    try:
        address = ipaddress.IPv4Address("127.0.0.1" if host in ("", "localhost") else host)
    except ValueError as error:
        raise InputError("is no address", where=where, hint="such as 127.0.0.1:5901, or a path with a slash") from error
    if not address.is_loopback:
        hint = "use 127.0.0.1, and a tunnel of ssh from elsewhere"
        raise InputError("it has no password, so it is served on the loopback only", where=where, hint=hint)
    if colon and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError("is no port", where=where)
    return Vnc(address=str(address), port=int(port) if colon else None)


def _require_numbers(nics: int, ssh_port: int | None) -> None:
    if not 1 <= nics <= MOST_NICS:
        raise InputError(f"a machine has 1 to {MOST_NICS} NICs here", where=f"--nics {nics}")
    if ssh_port is not None and not 0 <= ssh_port < 65536:
        raise InputError("is no port", where=f"--ssh-port {ssh_port}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=str(path)) from error


def _user_data(path: Path | None) -> str | None:
    return None if path is None else _text(path)


def _key(path: Path | None) -> tuple[str, str] | None:
    """Name and public key.  Raises InputError for a private one, which must not get into a guest."""
    if path is None:
        return None
    text = _text(path).strip()
    if "PRIVATE KEY" in text:
        raise InputError("is a private key", where=str(path), hint=f"give the public one: {path}.pub")
    if not _KEY.fullmatch(text):
        raise InputError("is not one public key of OpenSSH", where=str(path), hint="such as ~/.ssh/id_ed25519.pub")
    return "goldsmith", text
