"""Emergency stop: from the service call to the stop frame on both buses, and to where the arms confirm it.

    python -m bench.estop [--repetitions 50] [--beside 300] [--save]

The driver and two emulated arms run in processes of their own, arms enabled and holding. Each repetition calls
/piper_driver/estop at a random phase of all loops, then resets and enables again. Frames are timed where they
appear on the virtual CAN segment. HARDWARE S13 asks for 20 ms and 50 ms. First with nobody else there, then while
other ROS 2 processes come, leave, are killed or stopped. The caller has no shared memory, as the driver: it would
stall at times itself.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import tyro
from std_srvs.srv import SetBool, Trigger

from bench.passers_by import passers_by
from bench.report import conclude, milliseconds
from bench.sniff import Sniffer
from bench.stack import CHANNELS, Client, driver_on_emulated_arms
from piper_bringup.can import frames
from smp_msgs.srv import ResetEstop

FRAME_LIMIT_MS, CONFIRMED_LIMIT_MS = 20, 50
OTHERS = 3
COLUMNS = ("others", "from the service call to", "p50 ms", "p99 ms", "max ms", "limit ms", "over it")


@dataclass(frozen=True)
class Args:
    """Time from the e-stop service to both buses and back."""

    repetitions: int = 50
    """With nobody else there."""
    beside: int = 300
    """While other ROS 2 processes come and go."""
    save: bool = False
    """Write results/estop.md."""


class Stopping:
    """Trips and resets emergency stops, watching both buses."""

    def __init__(self, client: Client, sniffers: list[Sniffer]) -> None:
        self._client, self._sniffers = client, sniffers
        self._enable = client.service(SetBool, "enable")
        self._estop = client.service(Trigger, "estop")
        self._reset = client.service(ResetEstop, "reset_estop")
        self._random = np.random.default_rng(0)

    def once(self) -> tuple[int, int, int]:
        """ns from the call to: 0x150 on the later bus, the later arm's confirmation, the service's answer."""
        self._client.insist(self._enable, SetBool.Request(data=True))
        time.sleep(0.1 + self._random.uniform(0.0, 0.1))
        called_ns = time.time_ns()
        self._client.call(self._estop, Trigger.Request())
        answered_ns = time.time_ns()
        sent_ns = self._later(frames.STOP, called_ns, lambda data: data[0] == 1)
        confirmed_ns = self._later(frames.STATUS, called_ns, lambda data: data[1] == frames.Status.EMERGENCY_STOP)
        self._client.call(self._reset, ResetEstop.Request(confirm_arm_may_drop=True))
        return sent_ns - called_ns, confirmed_ns - called_ns, answered_ns - called_ns

    def _later(self, identifier: int, since_ns: int, wanted) -> int:
        return max(sniffer.wait(identifier, since_ns, wanted).t_ns for sniffer in self._sniffers)


def row(others: int, what: str, samples_ns: np.ndarray, limit_ms: int | None) -> tuple[object, ...]:
    """One line of the table."""
    if limit_ms is None:
        return (others, what, *milliseconds(samples_ns), "-", "-")
    over = int((samples_ns > limit_ms * 1e6).sum())
    return (others, what, *milliseconds(samples_ns), limit_ms, f"{over} of {len(samples_ns)}")


def measure(stopping: Stopping, others: int, repetitions: int) -> list[tuple[object, ...]]:
    """The lines of the table with so many others there."""
    with passers_by(others):
        samples_ns = np.array([stopping.once() for _ in range(repetitions)])
    return [
        row(others, "0x150 on both buses", samples_ns[:, 0], FRAME_LIMIT_MS),
        row(others, "0x2A1 of both arms says stopped", samples_ns[:, 1], CONFIRMED_LIMIT_MS),
        row(others, "the service answers", samples_ns[:, 2], None),
    ]


def main(args: Args) -> None:
    """Trip the emergency stop again and again."""
    with driver_on_emulated_arms() as client, ExitStack() as stack:
        sniffers = [Sniffer(channel, (frames.STOP, frames.STATUS)) for channel in CHANNELS.values()]
        for sniffer in sniffers:
            stack.enter_context(sniffer)
        stopping = Stopping(client, sniffers)
        rows = measure(stopping, 0, args.repetitions) + measure(stopping, OTHERS, args.beside)
    notes = f"{args.repetitions} and {args.beside} repetitions on two emulated arms, enabled and holding."
    conclude("Emergency stop", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.estop"))
