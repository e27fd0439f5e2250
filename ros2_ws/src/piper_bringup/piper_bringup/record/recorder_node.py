"""Node `recorder`: one rosbag2 (MCAP) an episode, asked for by action `/record_episode`.

Ended by its cancel, by the services `/recorder/save` (true: success, false: failure) and `/recorder/discard`, by its
time, or by the outcome that an episode event tells.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

from rclpy.node import Node

from piper_bringup import parameters
from piper_bringup.record.desk_node import Desk, sentence
from piper_bringup.record.expected import Expected
from piper_bringup.record.intake_node import Intake
from piper_bringup.record.places import unfinished
from piper_bringup.record.recorder import Recorder
from piper_bringup.record.session import DISCARDED, ENDED, Order, Result
from piper_bringup.record.table import render
from piper_bringup.record.types import typestore
from piper_bringup.seen.report import make_console
from piper_bringup.spin_node import spin

DEFAULTS: dict[str, object] = {
    "out": "bags",
    "least_free_mb": 1000.0,
    "tail_s": 0.0,
    **{f"expected.{name}": value for name, value in asdict(Expected()).items()},
}


class RecorderNode(Node):
    """Wires parameters, topics and the desk; everything else has no ROS in it."""

    def __init__(self) -> None:
        super().__init__("recorder")
        values = parameters.load(self, DEFAULTS)
        order = order_of(values)
        for bag in unfinished(order.out):
            self.get_logger().warning(f"{bag} was cut off: python -m piper_bringup.record.repair {bag}")
        typestore()  # takes a while; a recording is to begin at once
        self._intake: Intake | None = None
        self._recorder = Recorder(self._listen)
        self._desk = Desk(self._recorder, order, self._say)
        self.get_logger().info(f"episodes go to {order.out.absolute()}")

    def finish(self) -> int:
        """End a recording under way and keep it."""
        self._recorder.ask(ENDED)
        self._desk.close()
        return 0

    def _listen(self) -> Intake:
        self._intake = Intake(self)
        return self._intake

    def _say(self, result: Result) -> None:
        make_console().print(render(result.verdict, str(result.bag)))
        log = self.get_logger()
        if self._intake is not None and self._intake.refused:
            log.error(f"{self._intake.refused} pictures were not recorded: {self._intake.said}")
        if result.good or result.reason == DISCARDED.reason:  # rclpy refuses one call with changing severity
            log.info(sentence(result))
        else:
            log.error(sentence(result))


def order_of(values: dict[str, object]) -> Order:
    """What every recording has in common. Raises ParameterError."""
    expected = Expected(**{field.name: values[f"expected.{field.name}"] for field in fields(Expected)})
    for name in ("least_free_mb", "tail_s"):
        if values[name] < 0:
            raise parameters.ParameterError(f"recorder: parameter {name!r} is {values[name]:g}, valid: 0 and above")
    for name, value in expected.plain().items():
        if value < 0:
            raise parameters.ParameterError(f"recorder: parameter 'expected.{name}' is {value:g}, valid: 0 and above")
    out = Path(str(values["out"])).expanduser()
    return Order("", out=out, least_free_mb=values["least_free_mb"], tail_s=values["tail_s"], expected=expected)


def main() -> None:
    """Run until Ctrl-C."""
    spin(RecorderNode)


if __name__ == "__main__":
    main()
