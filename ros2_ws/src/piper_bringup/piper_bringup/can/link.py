"""An emulated arm plugged into a segment: frames in, frames out."""

from __future__ import annotations

import time

from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.segment import Port, Segment
from piper_bringup.can.wire import Frame


class Link:
    """Call `take` before and `give` after the physics of each 5 ms tick."""

    def __init__(self, arm: EmulatedArm, segment: Segment) -> None:
        self.arm = arm
        self.port: Port = segment.attach()

    def take(self) -> None:
        """Hands the commands that arrived to the arm and its immediate answers to the wire."""
        answers: list[Frame] = []
        for frame in self.port.receive():
            answers += self.arm.receive(frame.arbitration_id, frame.data, frame.t_ns)
        if answers:
            self.port.send(answers)

    def give(self) -> None:
        """Puts this tick's feedback on the wire, as one packet to each listener."""
        if found := self.arm.feedback(time.time_ns()):
            self.port.send(found)
