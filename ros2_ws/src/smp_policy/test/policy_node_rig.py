"""The real driver on emulated arms, the real policy node with a made-up model, and who asks it for runs."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from driver_rig import PATIENCE_S, DriverRig, ended
from fake_policy import TASKS, write_model
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.data import names
from smp_msgs.action import RunPolicy
from smp_msgs.msg import ArmStatus, SafetyEvent, SkillState
from smp_policy.run.table import ACTION, RELOAD, TOPIC_DRY

NODE = "smp_policy"
RELAYED = "/relayed_joint_states"  # what the policy listens to, so that a test can keep it back
PROGRAM = (
    "import fake_policy; from smp_policy import policy_node; "
    "policy_node.open_backend = fake_policy.open_backend; policy_node.main()"
)


def command(model: Path, **parameters: object) -> list[str]:
    """Of a policy node with the fake backend."""
    given = {"model": model, "timeouts.not_followed_s": 10.0} | parameters
    words = [w for name, value in given.items() for w in ("-p", f"{name}:={value}")]
    polite = ("nice", "-n", "10")  # as in the simulated graph: loading a model must not keep the emulated arms waiting
    relayed = ("-r", f"{names.TOPIC_JOINT_STATES}:={RELAYED}")
    return [*polite, sys.executable, "-c", PROGRAM, "--ros-args", *relayed, *words]


def environment() -> dict[str, str]:
    """In which the fake backend is found."""
    return os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{os.environ.get('PYTHONPATH', '')}"}


class PolicyRig(DriverRig):
    """Context manager."""

    def __init__(self, model: Path, **parameters: object) -> None:
        super().__init__(**{"can_rate.warn_fps": 100, "can_rate.fault_fps": 50})  # a busy machine emulates slowly
        self.model = write_model(model)
        self.policy_command = command(model, **parameters)
        self.relaying = True
        self.skills: list[SkillState] = []
        self.dry: list[JointTrajectory] = []
        self.feedback: list[RunPolicy.Feedback] = []

    def _begin(self, ends: ExitStack) -> None:
        self.policy = ended(self.policy_command, ends, env=environment())
        super()._begin(ends)
        self._action = ActionClient(self.node, RunPolicy, ACTION)
        self.steer(Transition.TRANSITION_CONFIGURE)
        self.steer(Transition.TRANSITION_ACTIVATE)

    def _listen(self) -> None:
        """The policy is to be the only commander; joint states go through here."""
        kept = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(SafetyEvent, names.TOPIC_SAFETY_EVENT, self.events.append, kept)
        self.node.create_subscription(SkillState, names.TOPIC_SKILL_STATE, self.skills.append, 50)
        self.node.create_subscription(JointTrajectory, TOPIC_DRY, self.dry.append, 50)
        for arm in names.ARMS:
            keep = lambda status, arm=arm: self.statuses.__setitem__(arm, status)  # noqa: E731
            self.node.create_subscription(ArmStatus, names.arm_status_topic(arm), keep, 1)
        out = self.node.create_publisher(JointState, RELAYED, 10)
        relay = lambda data: out.publish(data) if self.relaying else None  # noqa: E731
        self.node.create_subscription(JointState, names.TOPIC_JOINT_STATES, relay, 10, raw=True)

    def steer(self, transition: int) -> bool:
        """One lifecycle transition of the policy node."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, f"/{NODE}/change_state", request).success

    def power(self) -> PolicyRig:
        """Arms enabled; asked for again where a busy machine kept the emulated arms from answering for a moment."""
        self.until(lambda: self.ask("enable", data=True).success)
        self.until(lambda: self.mode() == "HOLD")
        return self

    def start(self, task: str = TASKS[0], limit_s: float = 0.0):
        """Send a goal; the handle, whose result `result` waits for."""
        self.until(self._action.server_is_ready)
        goal = RunPolicy.Goal(task=task, max_duration_s=limit_s)
        future = self._action.send_goal_async(goal, lambda message: self.feedback.append(message.feedback))
        self.until(future.done)
        assert future.result().accepted
        return future.result()

    def flying(self, **goal: object):
        """A run that the arms follow."""
        handle = self.start(**goal)
        before = self.q()[0]
        self.until(lambda: self.mode() == "FOLLOW" and self.q()[0] > before + 0.02)
        return handle

    def result(self, handle, seconds: float = PATIENCE_S):
        """(status, result) of a run."""
        future = handle.get_result_async()
        self.until(future.done, seconds)
        return future.result().status, future.result().result

    def cancel(self, handle) -> None:
        """As a client does."""
        future = handle.cancel_goal_async()
        self.until(future.done)

    def reload(self) -> Trigger.Response:
        """`/smp/reload_policy`."""
        return self.call(Trigger, RELOAD, Trigger.Request())

    def commanders(self) -> int:
        """Publishers of chunks."""
        return self.node.count_publishers(names.TOPIC_ACTION_CHUNK)

    def said(self, reason: str) -> list[str]:
        """What the policy said under this name."""
        return [event.text for event in self.events if event.reason == reason and event.source == NODE]

    def until_chunks_end(self) -> None:
        """No chunk for half a second."""

        def quiet() -> bool:
            before = len(self.skills)
            self.spin(0.5)
            return len(self.skills) == before

        self.until(quiet)

    def at_rest(self) -> bool:
        """Whether the set-points stand."""
        before = self.q()
        self.spin(0.3)
        return bool(np.abs(self.q() - before).max() < 1e-3)
