"""Elements over a base tree: their scripts and files, by the tree's own programs in a chroot."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from goldsmith.bake.layers import Layers
from goldsmith.bake.offline.selection import Selection, payload
from goldsmith.errors import CommandFailedError, HarnessError
from goldsmith.host.files import write_text
from goldsmith.host.jail import Jail
from goldsmith.host.progress import Progress
from goldsmith.host.run import tail
from goldsmith.recipe.plan import Plan
from goldsmith.store.manifest import PackageFact, installed_packages

#: seconds; scripts that fetch something may take their time
_SECONDS = 3600.0


def lay_over(
    jail: Jail,
    plan: Plan,
    layers: Layers,
    root: Path,
    scratch: Path,
    *,
    variables: str,
    given: Mapping[str, str],
    log_file: Path,
    progress: Progress,
) -> tuple[PackageFact, ...]:
    """Apply the elements that go over the base to the tree in ``root``; gives the packages that are installed then.

    ``scratch`` is an empty folder; ``variables`` are those of the base's build, in shell, and ``given`` as for the
    base.  What the scripts say goes to ``log_file``.  Raises InputError where two elements bring the same file,
    CommandFailedError where a script fails, HarnessError where no packages can be listed.
    """
    hooks = scratch / "hooks"
    hooks.mkdir()
    # Elements remove what DIB has left of its tools, by their names.
    (hooks / "bin").mkdir()
    for tool in layers.tools:
        (hooks / "bin" / tool).touch()
    packed = payload(
        plan, Selection(layers.over), plan.recipe.bootstrapped, outside=("cleanup.d",), below=variables, more=given
    )
    archive = scratch / "hooks.tar.gz"
    archive.write_bytes(packed.archive)
    with progress.step("elements"):
        jail.run(["tar", "-C", hooks, "-xzpf", archive, "--no-same-owner"], deadline=60)
        with resources.as_file(resources.files("goldsmith.bake").joinpath("lay_over.sh")) as script:
            done = jail.run(["bash", script, root, hooks], deadline=_SECONDS, check=False)
    said = (hooks / "log").read_text(errors="replace") if (hooks / "log").exists() else ""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    write_text(log_file, said)
    if done.returncode:
        raise CommandFailedError(
            "the elements' scripts",
            status=f"exited {done.returncode}",
            tail=tail(said + done.stderr),
            hint=f"the whole log is {log_file}",
        )
    packages = installed_packages((hooks / "installed").read_text())
    if not packages:
        raise HarnessError("the tree has no package manager that lists its packages", where=str(log_file))
    return packages
