"""What has to be right before the robot's graph starts: CAN interfaces, two different arms, cameras.

    python -m piper_bringup.readiness --cameras usb [--identify]

ros2 launch and run.py walk through the same checks on `real`. Says what was found; exit code 1 and one sentence at
the first thing that is wrong. Nothing moves and nothing is enabled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from piper_bringup import options as deployment
from piper_bringup import robot_cameras
from piper_bringup.arm import buses, interfaces
from piper_bringup.options import ROBOTWIN, OptionError, Options
from piper_bringup.process import config_dir
from piper_bringup.robotwin.place import PlaceError, admit

SOCKETCAN = "socketcan"
IDENTIFY_S = 30.0


def at_start(options: Options, config: Path) -> Iterator[str]:
    """What was found, sentence by sentence. Raises OptionError at the first thing that is wrong.

    config: installed config folder of the package. Arms on another bus than the kernel's are left to the driver, which
    waits for them.
    """
    if options.backend == ROBOTWIN:
        yield robotwin(options)
    if options.simulated:
        return
    if (options.can_backend or SOCKETCAN) == SOCKETCAN:
        yield from can_interfaces(options)
        yield arms(options)
    yield from cameras(options, config)


def robotwin(options: Options) -> str:
    """A checkout with these tasks is there, and a Python that can run our end of it. Raises OptionError."""
    try:
        return admit(options.robotwin_root, options.robotwin_python, options.tasks)
    except PlaceError as error:
        raise OptionError(str(error)) from error


def can_interfaces(options: Options) -> Iterator[str]:
    """Every interface that is used is there, up and at the PiPER's bit rate. Raises OptionError."""
    try:
        found = interfaces.interfaces()
    except OSError as error:
        raise OptionError(str(error)) from error
    leaders = (options.left_leader_can, options.right_leader_can) if options.teleop else ()
    for channel in (options.left_can, options.right_can, *leaders):
        if wrong := interfaces.fault(channel, found):
            raise OptionError(wrong)
        rate = interfaces.bitrate(found[channel])
        yield f"{channel}: up" + (f" at {rate} bit/s" if rate else ", at a bit rate that the kernel does not know")


def arms(options: Options) -> str:
    """Two different arms answer. Raises OptionError."""
    with _opened(options) as both:
        found = buses.ask(both)
    return "; ".join(f"{arm} arm answers, firmware {version}" for arm, version in found.items())


def cameras(options: Options, config: Path) -> Iterator[str]:
    """Those that are to be started are plugged in. Raises OptionError."""
    if told := robot_cameras.check(options, robot_cameras.described(options, config)):
        yield told


def identified(options: Options, seconds: float = IDENTIFY_S) -> str:
    """That the arm which somebody calls the left one, and moves, is on left_can. Raises OptionError."""
    with _opened(options) as both:
        arm = buses.moved(both, seconds)
    if not arm:
        raise OptionError(f"no arm was moved within {seconds:g} s")
    if arm == "right":
        raise OptionError(
            f"the arm that moved is on {options.right_can}: left and right are swapped; "
            f"change the serials in {interfaces.RULES}, or the cables"
        )
    return f"the arm that moved is on {options.left_can}: left is left"


@contextmanager
def _opened(options: Options) -> Iterator[buses.Buses]:
    """Both arms' buses. Raises OptionError for what goes wrong with them."""
    channels = {"left": options.left_can, "right": options.right_can}
    try:
        with ExitStack() as stack:
            yield buses.opened(channels, options.can_backend or SOCKETCAN, stack)
    except buses.BusError as error:
        raise OptionError(str(error)) from error


@dataclass(frozen=True)
class Args:
    """Check that the robot is ready to be started; nothing moves."""

    left_can: str = "can_left"
    """CAN interface of the left arm."""
    right_can: str = "can_right"
    """CAN interface of the right arm."""
    can_backend: str = SOCKETCAN
    """python-can interface type; smp_vcan: emulated arms."""
    cameras: Literal["realsense", "usb", "external"] = "external"
    """Whose cameras to look for; external: none."""
    identify: bool = False
    """Also ask for the left arm to be moved by hand, and say whether it is the left one."""


def run(args: Args) -> Iterator[str]:
    """What was found, sentence by sentence. Raises OptionError."""
    options = Options(
        left_can=args.left_can, right_can=args.right_can, can_backend=args.can_backend, cameras=args.cameras
    )
    deployment.check(options)
    if args.can_backend == SOCKETCAN:
        yield from can_interfaces(options)
    yield arms(options)
    yield from cameras(options, config_dir())
    if args.identify:
        yield f"now move the LEFT arm by hand, a joint or the gripper (motors off), within {IDENTIFY_S:g} s"
        yield identified(options)


def main() -> None:
    try:
        for sentence in run(tyro.cli(Args, prog="python -m piper_bringup.readiness")):
            print(sentence, flush=True)
    except OptionError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
