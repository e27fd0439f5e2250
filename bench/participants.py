"""Does the driver's 100 Hz loop stand still when other ROS 2 processes come and go?

    python -m bench.participants [--seconds 60] [--at-once 3] [--save]

The driver on two emulated arms, enabled and holding, while other processes subscribe to /joint_states, stay for some
seconds and leave: shut down, killed, or stopped and killed later. Gaps are between two set-points on the virtual CAN
segment, stamped there; LOOP_LATE is the driver's own word (more than 50 ms). A driver that faults is enabled again.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import numpy as np
import tyro
from std_srvs.srv import SetBool

from bench.passers_by import WAYS, passers_by
from bench.report import conclude
from bench.sniff import Sniffer
from bench.stack import CHANNELS, Client, driver_on_emulated_arms
from piper_bringup.can import frames
from piper_bringup.data import names
from piper_bringup.run_node import EVENT_QOS
from smp_msgs.msg import ArmStatus, SafetyEvent

GAP_MS = 50
COLUMNS = (
    "the others are",
    "came",
    "LOOP_LATE, longest",
    "faults",
    "set-points",
    f"gaps over {GAP_MS} ms",
    "gap p99 / max ms",
)


@dataclass(frozen=True)
class Args:
    """Gaps of the command loop while participants come and go."""

    seconds: float = 60.0
    """For each way of leaving."""
    at_once: int = 3
    """Participants beside the driver at any time."""
    save: bool = False
    """Write results/participants.md."""


class Holding:
    """Keeps the arms holding, and counts what kept them from it."""

    def __init__(self, client: Client) -> None:
        self._client, self._enable = client, client.service(SetBool, "enable")
        self._late_ms: list[int] = []
        client.node.create_subscription(SafetyEvent, names.TOPIC_SAFETY_EVENT, self._on_event, EVENT_QOS)

    def hold(self, seconds: float) -> tuple[list[int], int]:
        """Lengths [ms] of the LOOP_LATE that were said meanwhile, and how often the arms had to be enabled again."""
        self._again()
        self._late_ms, faults = [], 0
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._client.spin()
            if ArmStatus.FAULT in self._client.mode.values():
                faults += 1
                self._again()
        return self._late_ms, faults

    def _again(self) -> None:
        self._client.insist(self._enable, SetBool.Request(data=True))
        self._client.wait_for_mode(ArmStatus.HOLD)

    def _on_event(self, event: SafetyEvent) -> None:
        if event.reason == "LOOP_LATE":
            self._late_ms.append(int(re.search(r"(\d+) ms", event.text)[1]))


def measure(args: Args, holding: Holding, way: str) -> tuple[object, ...]:
    """One line of the table."""
    sniffer = Sniffer(CHANNELS["left"], frames.JOINT_TARGET[:1], held=round(args.seconds * 200))
    with passers_by(args.at_once, (way,)) as passing, sniffer:
        late_ms, faults = holding.hold(args.seconds)
    gaps_ms = np.diff(sniffer.stamps(frames.JOINT_TARGET[0])) * 1e-6
    return (
        way,
        passing.came,
        f"{len(late_ms)}, {max(late_ms)} ms" if late_ms else "0",
        faults,
        len(gaps_ms),
        int((gaps_ms > GAP_MS).sum()),
        f"{np.percentile(gaps_ms, 99):.1f} / {gaps_ms.max():.1f}",
    )


def main(args: Args) -> None:
    """Every way of leaving, one after the other."""
    with driver_on_emulated_arms() as client:
        holding = Holding(client)
        rows = [measure(args, holding, way) for way in WAYS]
    notes = f"{args.seconds:g} s each, {args.at_once} others at once, on two emulated arms, enabled and holding."
    conclude("Command loop while participants come and go", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.participants"))
