"""Node `robotwin_bridge` in mode realtime: RoboTwin 2.0 below the CAN wire. NOT RoboTwin's protocol; see `shadow`.

    python -m piper_bringup.robotwin.realtime_node --ros-args -p root:=ROBOTWIN_ROOT -p python:=ROBOTWIN_PYTHON

In place of node `cell`, with its services and events: emulated arms on both segments, which RoboTwin's arms follow.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from piper_bringup import parameters
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.emulator import TICK_NS, Emulator
from piper_bringup.can.places import SegmentError
from piper_bringup.can.rest import Refused
from piper_bringup.cell.loop import Loop
from piper_bringup.data import names
from piper_bringup.data.robotwin import STEP_NS
from piper_bringup.robotwin.link import Link
from piper_bringup.robotwin.lost import WorkerError, WorkerRaised
from piper_bringup.robotwin.messages import SLOW
from piper_bringup.robotwin.play import Phase, raised
from piper_bringup.robotwin.realtime_desk_node import Desk
from piper_bringup.robotwin.realtime_link_node import Voice
from piper_bringup.robotwin.record import LABEL, Record
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.shadow import Ended, Shadow
from piper_bringup.robotwin.stage import Begun, Stage
from piper_bringup.robotwin.units import NotPiper
from piper_bringup.spin_node import Done, every, spin
from smp_msgs.msg import EpisodeEvent

WARN_EVERY_S = 5.0
_TOLD = {  # by the policy; aborted: ended by a person or by a safety event, which says nothing of it
    EpisodeEvent.TIMED_OUT: Phase.TIME_OVER,
    EpisodeEvent.FAILED: Phase.POLICY_ERROR,
    EpisodeEvent.ABORTED: Phase.STOPPED,
}


class RealtimeNode(Node):
    """Wires. Refuses, in one sentence, to be made with a wrong parameter or without a worker (ValueError)."""

    def __init__(self) -> None:
        super().__init__("robotwin_bridge")
        values = parameters.load(self, Settings.defaults())
        self._failure: Exception | None = None
        self._ending = False
        self._void: tuple[Begun, Ended] | None = None  # too slow, and not over for the policy yet
        try:
            settings = Settings.from_parameters(values)
            self._arms = Emulator(*((channel, EmulatedArm()) for channel in settings.channels.values()))
            self._at = [self._arms.arms(channel)[0].encoders for channel in settings.channels.values()]
            self._stage = Stage(Link(settings.python, settings.root, *settings.worker_arguments), settings)
            self._stage.start()
        except (WorkerError, ValueError, SegmentError) as error:
            raise ValueError(f"robotwin_bridge: {error}") from error
        self._shadow = Shadow(self._stage, settings, self._stands)
        self._voice, self._record = Voice(self, self._shadow), Record(settings, self._stage.about)
        self._wake = self.create_guard_condition(self._end_after_failure)
        self.create_subscription(EpisodeEvent, names.TOPIC_EPISODE_EVENT, self._on_event, 10)
        self._desk = Desk(self._begin, self._clear)
        self._voice.state(Phase.IDLE, "no episode")
        every(self, 1.0, self._report)
        self._loops = (
            Loop(self._arms.tick, TICK_NS, self._on_failure, settings.realtime__fifo_priority),
            Loop(self._follow, settings.servo_steps * STEP_NS, self._on_failure),
        )
        for loop in self._loops:
            loop.start()
        self.get_logger().info(_table(settings, self._stage))

    def finish(self) -> int:
        """End what goes on, its file whole, the worker and the segments; 1 when something of ours broke."""
        self._ending = True
        self._conclude(Phase.STOPPED, "ended by a person")
        self._stage.close()
        self._desk.close()
        self._desk.destroy_node()
        for loop in reversed(self._loops):
            loop.stop()
        self._arms.close()
        if self._record.path is not None:
            print(f"robotwin_bridge: {self._record.told}", flush=True)
        return 1 if self._failure is not None else 0

    # --- threads of both loops ------------------------------------------------------------------------------

    def _stands(self) -> NDArray[np.float64]:
        return np.array([value for arm in self._at for value in (*arm.q_rad, arm.gripper_m)])

    def _follow(self) -> None:
        try:
            moment = self._shadow.follow()
        except WorkerRaised as error:
            self._conclude(raised(error), str(error))
        except (WorkerError, NotPiper) as error:
            self._conclude(Phase.WORKER_LOST, str(error))
        else:
            if moment is not None:
                self._voice.show(moment)
                if moment.solved:
                    self._conclude(Phase.SUCCESS, "solved, as RoboTwin judges")

    def _on_failure(self, error: Exception) -> None:
        self._failure = error
        self._wake.trigger()

    # --- the desk's threads ---------------------------------------------------------------------------------

    def _begin(self, task: str, seed: int) -> Begun:
        if self._ending:
            raise Refused("the simulation ends")
        try:
            begun, moment = self._shadow.reset(task, seed, self._make_room)
        except Refused:  # what goes on goes on
            raise
        except Exception as error:
            self._voice.state(Phase.IDLE, str(error))
            raise
        self._voice.begun(begun, moment)
        self._voice.state(Phase.ACTING, "the arms are followed")
        return begun

    def _make_room(self, task: str) -> None:
        self._record.open()
        self._conclude(Phase.STOPPED, "another episode was asked for")
        self._void = None
        self._voice.state(Phase.RESETTING, task)

    def _clear(self) -> None:
        self._void = None
        self._conclude(Phase.STOPPED, "ended by whom asked for it")

    # --- the executor's thread ------------------------------------------------------------------------------

    def _on_event(self, event: EpisodeEvent) -> None:
        """The policy says when its motion begins, and when it is over without success."""
        if event.kind == EpisodeEvent.STARTED:
            self._shadow.started()
        elif event.kind in _TOLD:
            self._conclude(_TOLD[event.kind], event.text)

    def _report(self) -> None:
        report = self._loops[1].report()
        self._voice.report(report)
        if report.real_time_factor < SLOW:
            text = f"slower than real time: factor {report.real_time_factor:.2f}"
            self.get_logger().warning(text, throttle_duration_sec=WARN_EVERY_S)
        if self._shadow.falls_behind():
            self._conclude(Phase.TOO_SLOW, "RoboTwin does not keep up with the arms")
        elif self._void is not None:
            self._voice.ended(*self._void)  # a run that was asked for later is to hear of it, too

    def _end_after_failure(self) -> None:
        self.get_logger().fatal(f"the arms are gone from the bus: {self._failure}")
        raise Done

    # --- any thread -----------------------------------------------------------------------------------------

    def _conclude(self, reason: Phase, detail: str) -> None:
        """The episode under way, if there is one, has ended."""
        begun, _, _ = self._shadow.now
        ended = self._shadow.end(reason, detail)
        if ended is None:
            return
        if ended.reason == Phase.TOO_SLOW:
            self._void = (begun, ended)
        self._voice.ended(begun, ended)
        self._voice.state(ended.reason, ended.detail)
        told = f"{ended.task} seed {ended.seed}: {ended.reason} at {ended.real_time_factor:.3f} of real time"
        self.get_logger().info(f"{told}; {ended.detail}; {LABEL}")
        try:
            self._record.add(ended)
        except OSError as error:
            self.get_logger().error(f"the file of the episodes cannot be written: {error}")


def _table(settings: Settings, stage: Stage) -> str:
    about = stage.about
    arms = ", ".join(f"{arm} arm on {channel}" for arm, channel in settings.channels.items())
    return (
        f"RoboTwin {about['branch']} in {settings.root}, commit {about['commit'] or 'unknown'}, in real time: {LABEL}; "
        f"{arms}, followed at {settings.realtime__servo_hz:g} Hz; cameras at {settings.realtime__camera_hz:g} Hz; "
        f"{settings.task_config}; shader {about['shader']}, planner {about['planner']}, expert_check "
        f"{str(settings.expert_check).lower()}; below {settings.realtime__min_factor:g} of real time nothing is judged"
    )


def main() -> None:
    """Run until Ctrl-C."""
    sys.setswitchinterval(0.0005)  # the arms must not wait 5 ms for the interpreter
    spin(RealtimeNode)


if __name__ == "__main__":
    main()
