"""Run as a program: what touches a hive through C or through someone else's parser, with little that it could do.

hivex is C with assertions, and the hive is not ours: if it dies, runs on or eats memory, this process does and nothing
else.  It needs no package of ours.  One JSON document on stdin, one on stdout:

    {"do": "merge", "hive": FILE, "out": FILE, "changes": [{"key": [NAME...], "name": NAME, "type": N, "data": HEX}...]}
    {"do": "replay", "hive": FILE, "log": FILE, "out": FILE}
    {"do": "open", "hive": FILE}

A change without ``type`` removes the value.  Answers {} or {"error": TEXT}.
"""

import contextlib
import io
import json
import os
import resource
import sys
from typing import Any

#: address space and file size in bytes, processor time in seconds
MEMORY, LARGEST_FILE, SECONDS = 3 * 2**30, 2**30, 900
NOBODY = 65534


def confine() -> None:
    """Limits that cannot be lifted again; and no root, where this is root."""
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(what, (limit, limit))
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    # Whatever it is made to do, it starts nothing.
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def merge(hivex: Any, request: dict[str, Any]) -> None:
    hive = hivex.Hivex(request["hive"], write=True)
    by_key: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for change in request["changes"]:
        by_key.setdefault(tuple(change["key"]), []).append(change)
    for names, changes in by_key.items():
        node = hive.root()
        for name in names:
            below = hive.node_get_child(node, name)
            node = hive.node_add_child(node, name) if below is None else below
        values: list[dict[str, Any]] = []
        for each in hive.node_values(node):
            kind, content = hive.value_value(each)
            values.append({"key": hive.value_key(each), "t": kind, "value": content})
        for change in changes:
            at = [n for n, each in enumerate(values) if each["key"].upper() == change["name"].upper()]
            if "type" not in change:
                values = [each for n, each in enumerate(values) if n not in at]
                continue
            new = {"key": change["name"], "t": change["type"], "value": bytes.fromhex(change["data"])}
            if at:
                values[at[0]] = {**new, "key": values[at[0]]["key"]}
            else:
                values.append(new)
        hive.node_set_values(node, values)
    hive.commit(request["out"])


def replay(recovery: Any, request: dict[str, Any]) -> None:
    recovery.apply_transaction_logs(request["hive"], request["log"], restored_hive_path=request["out"])


def main() -> None:
    request = json.load(sys.stdin)
    answer: dict[str, str] = {}
    try:
        # All that is imported is read before root is given up: a checkout in a private folder is no longer seen then.
        import hivex
        from regipy import recovery, registry
    except ImportError as error:
        json.dump({"missing": str(error)}, sys.stdout)
        return
    confine()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if request["do"] == "merge":
                merge(hivex, request)
            elif request["do"] == "replay":
                replay(recovery, request)
            else:
                hivex.Hivex(request["hive"]).root()
                registry.RegistryHive(request["hive"])  # type: ignore[no-untyped-call]
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
