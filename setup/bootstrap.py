"""Set this checkout up: a virtual environment with pinned packages, and ros2_ws built in place.

Running it again does what has become stale and nothing else; after a Ctrl-C at any moment it goes on from
the last step that was complete. Started by setup/bootstrap. Standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # python -I leaves it out

import needs
import packages
import workspace
from checkout import Checkout, ros_source, step_environment
from steps import SetupError, timed


def set_up(checkout: Checkout) -> None:
    """Do every step that is stale. Raises SetupError."""
    if not (packages.fresh(checkout) and workspace.fresh(checkout)):
        check_place(checkout.root)
        check_machine(checkout.ros)
        check_system(checkout)
    if not packages.fresh(checkout):
        packages.install(checkout)
    if not workspace.fresh(checkout):
        workspace.build(checkout)
    print(f"setup: ready, with ROS 2 Jazzy from {checkout.ros}", flush=True)


def check_place(root: Path) -> None:
    """Raises SetupError where colcon's scripts would break."""
    if re.search(r"\s", str(root)):
        raise SetupError(f"there is a space in {root}, which colcon cannot take: move the checkout elsewhere.")


def check_machine(ros: str) -> None:
    """Raises SetupError where there are no wheels for this machine and no ROS 2 is sourced."""
    if ros == "wheels" and (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        machine = f"{platform.machine()} {platform.system()}"
        raise SetupError(
            f"ROS 2 wheels exist for x86-64 Linux only, and this is {machine}: "
            "install ROS 2 Jazzy with apt and source it first."
        )


def check_system(checkout: Checkout) -> None:
    """Install what the system lacks when root; otherwise say the one command that does.

    Raises SetupError when something is missing that set-up cannot go on without.
    """
    absent = needs.missing()
    if absent and needs.can_install():
        command = needs.apt_command(absent, root=True)
        try:
            with timed(f"installing {', '.join(need.what for need in absent)} with apt-get"):
                checkout.run("apt", "env", "DEBIAN_FRONTEND=noninteractive", "sh", "-c", command)
        except SetupError as error:
            print(f"setup: {error}", flush=True)
        absent = needs.missing()
    if absent:
        message = needs.describe(absent, root=os.geteuid() == 0)
        if not all(need.optional for need in absent):
            raise SetupError(message)
        print(f"setup: {message}", flush=True)


@contextmanager
def locked(root: Path) -> Iterator[int]:
    """Hold the set-up of one checkout; yields the lock's descriptor. Waits while another set-up holds it."""
    descriptor = os.open(root / "setup", os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: another set-up of this checkout is running; waiting for it to end", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    root = Path(__file__).resolve().parent.parent
    try:
        ros = ros_source(dict(os.environ))
        with locked(root) as lock:
            set_up(Checkout(root, ros, step_environment(dict(os.environ), root / ".venv", ros), lock))
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: interrupted; run setup/bootstrap again to go on", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print("setup: The disk is full: free some space, then run setup/bootstrap again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
