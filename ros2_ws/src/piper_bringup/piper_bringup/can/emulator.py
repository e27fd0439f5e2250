"""Emulated arms on virtual CAN segments, in real time, with built-in dynamics.

    piper_emulator --channel can_left can_right

serves one arm on each channel until Ctrl-C. Lines on standard input set faults while it runs: a channel, then
the faults in force, nothing for none, or `down` and `up` for the bus:

    can_left collision=3
    can_left mute_ids=0x2A5,0x2A6 low_voltage
    can_left
    can_left down
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

import tyro

from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.faults import parse_faults
from piper_bringup.can.link import Link
from piper_bringup.can.places import SegmentError
from piper_bringup.can.plant import FirstOrderPlant
from piper_bringup.can.report import TICK_S
from piper_bringup.can.segment import Segment

TICK_NS = round(TICK_S * 1e9)
CATCH_UP_TICKS = 20  # ticks made up for after a stall; beyond that the arm stood still for the rest of it


@dataclass
class Pace:
    """Absolute deadlines, one a tick, that neither drift nor end in a burst after a long stall. Pure."""

    due_ns: int
    skipped_ticks: int = 0

    def wait_ns(self, now_ns: int) -> int:
        """How long to wait after a tick; 0 while ticks are being made up for."""
        self.due_ns += TICK_NS
        late_ns = now_ns - self.due_ns
        if late_ns > CATCH_UP_TICKS * TICK_NS:
            missed = late_ns // TICK_NS
            self.skipped_ticks += missed
            self.due_ns += missed * TICK_NS
        return max(0, -late_ns)


class Emulator:
    """Serves arms from one thread between `start` and `close`; a context manager.

    Each item is (channel, arm); arms may share a channel, as a leader and its follower do.
    `segments[channel]` has `down()` and `up()`. Raises places.SegmentError when a channel is hosted already.
    """

    def __init__(self, *served: tuple[str, EmulatedArm]) -> None:
        self.segments: dict[str, Segment] = {}
        self._served = served
        self._seats: list[tuple[Link, FirstOrderPlant]] = []
        self._stack = ExitStack()
        self._stop = threading.Event()
        with self._stack:
            for channel, arm in served:
                if channel not in self.segments:
                    self.segments[channel] = self._stack.enter_context(Segment(channel))
                plant = FirstOrderPlant(arm.encoders.q_rad, arm.encoders.gripper_m)
                self._seats.append((Link(arm, self.segments[channel]), plant))
            self._stack = self._stack.pop_all()
        self._thread = threading.Thread(target=self._run, name="emulated arms", daemon=True)

    def __enter__(self) -> Emulator:
        self.start()
        return self

    def start(self) -> None:
        """Runs the arms in real time from now on."""
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def arms(self, channel: str) -> list[EmulatedArm]:
        """The arms on one channel, in the order they were given."""
        return [arm for name, arm in self._served if name == channel]

    def tick(self) -> None:
        """5 ms of every arm; the thread calls it, or a test instead of the thread."""
        for link, plant in self._seats:
            link.take()
            link.arm.advance(TICK_S)
            link.arm.measured(plant.step(link.arm.drive, TICK_S))
            link.give()

    def close(self) -> None:
        """Ends the thread and the segments."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stack.close()

    def _run(self) -> None:
        pace = Pace(time.monotonic_ns())
        try:
            while not self._stop.is_set():
                self.tick()
                time.sleep(pace.wait_ns(time.monotonic_ns()) / 1e9)
        except Exception:
            self._stack.close()  # a broken arm must look like a dead bus, not like one that went quiet
            raise


@dataclass(frozen=True)
class Args:
    """Emulated PiPER arms on virtual CAN segments. Standard input sets faults; see the module."""

    channel: tuple[str, ...] = ("can_left",)
    """Segments to host, one arm on each."""
    firmware: str = "S-V1.8-9"
    """Version text that the arms answer."""
    stroke_mm: int = 70
    """Gripper opening: 70, 100, or 0 for one that was never set."""
    leader: bool = False
    """Start as leader (teaching input) arms."""
    faults: tuple[str, ...] = ()
    """Faults from the start, such as mute or collision=3."""


def obey(line: str, emulator: Emulator) -> str:
    """Applies one control line and says what happened."""
    channel, *words = line.split()
    if channel not in emulator.segments:
        return f"no channel {channel!r}; valid are {', '.join(emulator.segments)}"
    if words in (["down"], ["up"]):
        getattr(emulator.segments[channel], words[0])()
        return f"{channel}: {words[0]}"
    try:
        faults = parse_faults(words)
    except ValueError as error:
        return str(error)
    for arm in emulator.arms(channel):
        arm.faults = faults
    return f"{channel}: {' '.join(words) or 'healthy'}"


def main() -> None:
    """Console script piper_emulator."""
    args = tyro.cli(Args, description=__doc__)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(args)
    except (SegmentError, ValueError) as error:
        sys.exit(f"piper_emulator: {error}")
    except KeyboardInterrupt:
        print("ended", flush=True)


def _serve(args: Args) -> None:
    faults = parse_faults(list(args.faults))
    stroke_m = args.stroke_mm / 1000
    served = [
        (name, EmulatedArm(args.firmware, gripper_stroke_m=stroke_m, leader=args.leader)) for name in args.channel
    ]
    for _, arm in served:
        arm.faults = faults
    with Emulator(*served) as emulator:
        print(f"emulated arms on {', '.join(args.channel)}, firmware {args.firmware}", flush=True)
        for line in sys.stdin:
            if line.strip():
                print(obey(line, emulator), flush=True)
        threading.Event().wait()  # standard input closed: serve until a signal


if __name__ == "__main__":
    main()
