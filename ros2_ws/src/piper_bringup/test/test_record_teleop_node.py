"""Teleoperation over ROS 2: the real driver, the real node, emulated leaders and followers on virtual CAN segments."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from can_rig import fresh_channel
from driver_rig import PATIENCE_S, READY_RAD, DriverRig, ended
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.can import frames
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.emulator import Emulator
from piper_bringup.data import names
from smp_msgs.msg import ArmStatus, SafetyEvent

# Arms, leaders and driver run in real time here; see test_driver_node.
pytestmark = pytest.mark.live


class TeleopNodeRig(DriverRig):
    """A driver on emulated arms, and beside it a teleoperation with two emulated leaders."""

    def __init__(self, **parameters: object) -> None:
        super().__init__(**{"can_rate.warn_fps": 100, "can_rate.fault_fps": 50})  # a busy machine emulates slowly
        self.leader_channels = {arm: fresh_channel(f"leader_{arm}") for arm in names.ARMS}
        self.leaders = {arm: EmulatedArm(q_rad=READY_RAD, leader=True) for arm in names.ARMS}
        self.emulator.close()  # one thread for all four arms is lighter than two
        followers = [(self.channels[arm], self.emulated[arm]) for arm in names.ARMS]
        self.emulator = Emulator(*followers, *((self.leader_channels[arm], self.leaders[arm]) for arm in names.ARMS))
        given = {"can_backend": "smp_vcan", "timeouts.leader_s": 0.2, "timeouts.reconnect_s": 0.2} | parameters
        given |= {f"leaders.{arm}.can_channel": channel for arm, channel in self.leader_channels.items()}
        words = [w for name, value in given.items() for w in ("-p", f"{name}:={value}")]
        self.teleop_command = [sys.executable, "-m", "piper_bringup.record.teleop_node", "--ros-args", *words]

    def _begin(self, ends: ExitStack) -> None:
        super()._begin(ends)
        self._clutch = self.node.create_client(SetBool, "/teleop/engage")
        self.teleop = ended(self.teleop_command, ends)

    def _listen(self) -> None:
        """Status and events only: four arms share this process, and the teleoperation is to be the only commander."""
        kept = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(SafetyEvent, names.TOPIC_SAFETY_EVENT, self.events.append, kept)
        for arm in names.ARMS:
            keep = lambda status, arm=arm: self.statuses.__setitem__(arm, status)  # noqa: E731
            self.node.create_subscription(ArmStatus, names.arm_status_topic(arm), keep, 1)

    def clutch(self, on: bool) -> SetBool.Response:
        """`/teleop/engage`, as often as a person could call it."""
        self.spin(0.2)
        self.until(self._clutch.service_is_ready)
        future = self._clutch.call_async(SetBool.Request(data=on))
        self.until(future.done)
        return future.result()

    def engaged(self) -> TeleopNodeRig:
        """Arms enabled, clutch in, driver following."""
        assert self.ask("enable", data=True).success
        self.until(lambda: self.mode() == "HOLD")
        self.until(lambda: self.followed() and self.mode() == "FOLLOW")
        return self

    def followed(self) -> bool:
        """Clutch in again, as a person does, should this busy machine have made the driver hold for a moment."""
        return self.mode() == "FOLLOW" or self.clutch(True).success

    def lead(self, joint1_rad: float, gripper_m: float = 0.0) -> None:
        """A hand takes both leaders' first joint there."""
        for arm in self.leaders.values():
            arm.guide((joint1_rad, *READY_RAD[1:]), gripper_m)

    def assert_frozen(self) -> None:
        """The followers come to rest (when and where: test_record_teleop) and no leader moves them."""

        def at_rest() -> bool:
            before = self.q()
            self.spin(0.3)
            return np.abs(self.q() - before).max() < 1e-3

        self.until(lambda: self.mode() == "HOLD" and self.commanders() == 0 and at_rest())
        stood = self.q()
        self.lead(-0.3)
        self.spin(0.5)
        assert np.abs(self.q() - stood).max() < 0.005

    def commanders(self) -> int:
        """Publishers of chunks."""
        return self.node.count_publishers(names.TOPIC_ACTION_CHUNK)

    def said(self, reason: str) -> list[str]:
        """Texts of the events with this reason."""
        return [event.text for event in self.events if event.reason == reason]


@contextmanager
def flooding(publisher: Publisher, message: JointState) -> Iterator[None]:
    """Meanwhile, `message` comes twenty times as often as the driver speaks."""
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.0005):
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def rig():
    with TeleopNodeRig() as rig:
        yield rig


def test_the_followers_follow_and_the_clutch_freezes_them(rig):
    rig.until(lambda: "/enable" in rig.clutch(True).message)  # DISABLED: enabling is somebody else's act
    assert rig.commanders() == 0
    rig.engaged()
    rig.lead(0.5, 0.03)
    rig.until(lambda: rig.followed() and rig.q()[[0, 6]] == pytest.approx(0.5, abs=0.02))
    rig.until(lambda: rig.followed() and rig.emulated["right"].drive.gripper_m == pytest.approx(0.03, abs=0.002))
    assert rig.clutch(False).success
    rig.assert_frozen()
    rig.lead(0.1)
    rig.until(lambda: rig.followed() and rig.q()[[0, 6]] == pytest.approx(0.1, abs=0.02))  # and back from there


def test_a_leader_that_dies_in_mid_motion_leaves_the_followers_holding(rig):
    rig.engaged()
    rig.lead(0.6)
    rig.until(lambda: rig.followed() and rig.q()[0] > 0.1)
    rig.emulator.segments[rig.leader_channels["right"]].down()
    rig.until(lambda: any("right leader" in text for text in rig.said("TELEOP_OFF")))
    rig.assert_frozen()
    assert "right leader" in rig.clutch(True).message
    rig.emulator.segments[rig.leader_channels["right"]].up()
    rig.until(lambda: rig.clutch(True).success)  # a person's act, not its own


def test_an_operators_hold_and_the_end_leave_the_followers_holding(rig):
    rig.engaged()
    assert rig.ask("hold").success
    rig.until(lambda: "the driver holds (OPERATOR_HOLD)" in rig.said("TELEOP_OFF"))
    assert rig.ask("enable", data=True).success
    rig.lead(0.6)
    rig.until(lambda: rig.followed() and rig.q()[0] > 0.1)
    rig.teleop.send_signal(signal.SIGINT)
    output, _ = rig.teleop.communicate(timeout=PATIENCE_S)
    assert rig.teleop.returncode == 0 and "the teleoperation ends" in output
    rig.assert_frozen()


def test_set_points_that_are_not_the_drivers_do_not_engage(rig):
    assert rig.ask("enable", data=True).success
    rig.until(lambda: rig.clutch(True).success and rig.clutch(False).success)
    forged = rig.node.create_publisher(JointState, names.joint_command_topic("left"), 1)
    broken = JointState(name=list(names.JOINTS[:7]), position=[float("nan")] * 7)
    refused = "no set-points of piper_driver are heard"

    def told() -> bool:
        """Asked while broken set-points keep coming, so that one of them is most likely the newest."""
        with flooding(forged, broken):
            answer = rig.clutch(True)
        # Where the driver's own came last, it engaged, rightly: from off again.
        return refused in answer.message or (answer.success and not rig.clutch(False).success)

    rig.until(told)
    assert rig.teleop.poll() is None and np.isfinite(rig.q()).all()


def test_s27_beside_another_commander_it_does_not_engage(rig):
    assert rig.ask("enable", data=True).success
    other = rig.node.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, 1)
    rig.until(lambda: "/driver_test commands the arms already" in rig.clutch(True).message)
    assert rig.commanders() == 1
    rig.node.destroy_publisher(other)
    rig.until(lambda: rig.clutch(True).success)
    assert rig.ask("estop").success
    rig.until(lambda: any("ESTOP" in text for text in rig.said("TELEOP_OFF")))
    assert rig.commanders() == 0 and "ESTOP" in rig.clutch(True).message


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [("delay_s", 2.0, "delay_s is 2.0, valid: 0 to 0.4"), ("ramp_speed", 1.0, "ramp_velocity_rad_s")],
)
def test_a_wrong_parameter_ends_the_start_in_one_sentence(name, value, told):
    command = [sys.executable, "-m", "piper_bringup.record.teleop_node", "--ros-args", "-p", f"{name}:={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr


def test_hand_guiding_shows_in_the_joint_states_and_nothing_is_sent():
    """The second way: the followers' own teach button. Targets of such a recording are the measured joints."""
    with DriverRig() as rig:
        teach = frames.encode(frames.STOP, 0, 0, 1, 0, 0, 0)
        for arm in rig.emulated.values():
            arm.receive(teach.arbitration_id, teach.data, time.time_ns())
        rig.until(lambda: {s.ctrl_mode for s in rig.statuses.values()} == {int(frames.Ctrl.TEACH)})
        assert not rig.ask("enable", data=True).success
        for arm in rig.emulated.values():
            arm.guide((0.4, *READY_RAD[1:]), 0.05)
        moved = [0.4, *READY_RAD[1:], 0.05] * 2
        rig.until(lambda: list(rig.joint_states[-1].position) == pytest.approx(moved, abs=0.01))
        assert not rig.commands and rig.mode() == "DISABLED"
