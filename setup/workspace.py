"""The step that builds ros2_ws with colcon. Standard library only."""

from __future__ import annotations

import shutil
from pathlib import Path

import stamps
from checkout import Checkout
from steps import timed

# Files whose change needs a new build. Python modules are linked, not copied: they need none.
INPUTS = (
    "package.xml",
    "CMakeLists.txt",
    "setup.py",
    "setup.cfg",
    "msg/*.msg",
    "srv/*.srv",
    "action/*.action",
)
# Files that setup.py links one by one: a new one needs a new build, a changed one does not.
LINKED = ("config/*", "launch/*")


def stamp_file(checkout: Checkout) -> Path:
    return checkout.workspace / "install" / "smp-built.json"


def wanted(checkout: Checkout) -> stamps.Stamp:
    """The stamp of a build that is up to date."""
    source = checkout.workspace / "src"
    linked = [str(path.relative_to(source)) for path in matching(source, LINKED)]
    inputs = {"inputs": stamps.digest(matching(source, INPUTS)), "linked": " ".join(linked)}
    return identity(checkout) | inputs


def identity(checkout: Checkout) -> stamps.Stamp:
    """What a build cannot change without being made anew."""
    requirements = checkout.root / "setup" / f"requirements-ros-{checkout.ros}.txt"
    return checkout.identity | {"ros_packages": stamps.digest([requirements])}


def matching(source: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Files of all packages below source that match one of the patterns, sorted."""
    return sorted(path for pattern in patterns for path in source.glob(f"*/{pattern}") if path.is_file())


def fresh(checkout: Checkout) -> bool:
    return stamps.read(stamp_file(checkout)) == wanted(checkout)


def build(checkout: Checkout) -> None:
    """Bring ros2_ws/install up to date, from nothing unless the last build was whole and of this identity."""
    found = stamps.read(stamp_file(checkout))
    stamp_file(checkout).unlink(missing_ok=True)
    bases = {name: checkout.workspace / name for name in ("build", "install", "log")}
    if not identity(checkout).items() <= found.items():
        for base in bases.values():
            shutil.rmtree(base, ignore_errors=True)
    with timed("building ros2_ws"):
        # fmt: off
        checkout.run(
            "colcon", checkout.venv / "bin" / "colcon", "--log-base", bases["log"], "build",
            "--symlink-install", "--base-paths", checkout.workspace / "src",
            "--build-base", bases["build"], "--install-base", bases["install"],
            "--cmake-args", "-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={checkout.python}",
        )
        # fmt: on
    stamps.write(stamp_file(checkout), wanted(checkout))
