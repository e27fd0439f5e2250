"""Node `robotwin_bridge`: RoboTwin 2.0 under our topics, in lockstep, as its own evaluation runs it.

    python -m piper_bringup.robotwin.bridge_node --ros-args -p root:=ROBOTWIN_ROOT -p python:=ROBOTWIN_PYTHON

Time stands still while the policy thinks: /clock, joints, targets and pictures come once a chunk, with the stamp that
the answering chunk has to carry. Of each chunk the same actions are executed as by the adapters that RoboTwin's own
scripts load (data.robotwin.actions), one after the other, however long each takes: a row is no 50 ms here. RoboTwin
itself runs in a process of its own (worker.py).
"""

from __future__ import annotations

from rclpy.node import Node

from piper_bringup import parameters
from piper_bringup.robotwin.bridge_desk_node import Desk
from piper_bringup.robotwin.bridge_link_node import Speaker
from piper_bringup.robotwin.link import Link
from piper_bringup.robotwin.lost import WorkerError
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.stage import Stage
from piper_bringup.spin_node import every, spin

PULSE_S = 0.1


class BridgeNode(Node):
    """Wires. Refuses, in one sentence, to be made with a wrong parameter or without a worker (ValueError)."""

    def __init__(self) -> None:
        super().__init__("robotwin_bridge")
        values = parameters.load(self, Settings.defaults())
        try:
            settings = Settings.from_parameters(values)
            self._stage = Stage(Link(settings.python, settings.root, *settings.worker_arguments), settings)
            self._stage.start()
        except (WorkerError, ValueError) as error:
            raise ValueError(f"robotwin_bridge: {error}") from error
        self._speaker = Speaker(self, self._stage)
        self._speaker.state(Phase.IDLE, "no episode", None)
        self._desk = Desk(self._stage, self._speaker, settings)
        every(self, PULSE_S, self._speaker.pulse)
        self.get_logger().info(_table(settings, self._stage))

    def finish(self) -> int:
        """End what goes on, its file whole, and the worker."""
        self._desk.close()
        self._desk.destroy_node()
        return 0


def _table(settings: Settings, stage: Stage) -> str:
    about = stage.about
    missing = f"; MISSING ASSETS {', '.join(about['missing_assets'])}" if about["missing_assets"] else ""
    arms = f"{settings.embodiment__left} and {settings.embodiment__right}, {settings.embodiment__distance_m:g} m apart"
    return (
        f"RoboTwin {about['branch']} in {settings.root}, commit {about['commit'] or 'unknown'}, Python "
        f"{about['python']}; {len(about['tasks'])} tasks, {settings.task_config}; {arms}; shader {about['shader']}, "
        f"planner {about['planner']}, expert_check {str(settings.expert_check).lower()}{missing}"
    )


def main() -> None:
    """Run until Ctrl-C."""
    spin(BridgeNode)


if __name__ == "__main__":
    main()
