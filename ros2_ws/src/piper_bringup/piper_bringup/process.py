"""One node of the graph, as whoever starts it has to know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from piper_bringup.data import names
from piper_bringup.options import OptionError

PACKAGE, POLICY_PACKAGE = "piper_bringup", "smp_policy"
RESPAWN_S = 2.0


@dataclass(frozen=True)
class Process:
    """One node in a process of its own."""

    name: str
    """Node name."""
    executable: str
    """Console script of the package."""
    module: str
    """The same program for `python -m`; empty: only the executable, as of nodes that are not ours."""
    parameters: dict[str, object] = field(default_factory=dict)
    """On top of `params_file`."""
    params_file: str | None = None
    """YAML below the package's config folder."""
    environment: dict[str, str] = field(default_factory=dict)
    nice: int = 0
    """Added to the process's niceness."""
    lifecycle: bool = False
    """To be configured and activated by whoever starts it."""
    required: bool = True
    """Its end ends the rest."""
    finite: bool = False
    """Ends by itself when its work is done."""
    patience_s: float = 5.0
    """Time between being asked to end and being made to."""
    package: str = PACKAGE
    namespace: str = ""
    remaps: dict[str, str] = field(default_factory=dict)
    """Topic, as the node calls it -> topic of the graph."""
    respawn: bool = False
    """Started again, after RESPAWN_S, whenever it ends unasked; nothing else ends with it."""


def config_dir(package: str = PACKAGE) -> Path:
    """Installed config folder of a package. Raises OptionError where the workspace is not sourced."""
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(package)) / "config"
    except PackageNotFoundError:
        raise OptionError(f"package {package} is not found: source ros2_ws/install/setup.bash") from None


def program(package: str, executable: str) -> Path | None:
    """Where a node that is not ours is installed; None: nowhere."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        found = Path(get_package_prefix(package)) / "lib" / package / executable
    except PackageNotFoundError:
        return None
    return found if found.is_file() else None


def death(name: str, returncode: int) -> str:
    """One sentence for the end of a process that nobody asked to end."""
    how = f"was killed by signal {-returncode}" if returncode < 0 else f"ended with exit code {returncode}"
    meaning = "; the arms hold by their own firmware" if name == names.DRIVER_NODE else ""
    return f"process {name} {how}{meaning}"
