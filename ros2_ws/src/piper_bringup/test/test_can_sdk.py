"""The unmodified piper_sdk 0.6.2 against the emulated arm, over the plug-in. Its agreement checks both."""

from __future__ import annotations

import math
import random
import time

import pytest
from can_rig import SdkRig, joints_mdeg, wait_until
from piper_sdk import C_PiperInterface_V2

from piper_bringup.can import frames, mit
from piper_bringup.can.faults import Faults
from piper_bringup.can.frames import Bit
from piper_bringup.can.report import NM_PER_A


@pytest.fixture
def make_rig():
    rigs = []

    def make(**arm) -> SdkRig:
        rigs.append(SdkRig(**arm))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig):
    return make_rig()


class Tap:
    """What the SDK puts on the wire."""

    def __init__(self, rig: SdkRig) -> None:
        self.port = rig.segment.attach()

    def sent_by(self, call, count: int = 1) -> list[tuple[int, tuple]]:
        """Identifier and decoded values of the `count` frames that `call` sends."""
        self.port.receive()
        call()
        wait_until(lambda: len(self.port._inbox) >= count, f"{count} frames")
        return [(f.arbitration_id, frames.decode(f.arbitration_id, f.data)) for f in self.port.receive()]


def test_our_decoding_agrees_with_the_sdks_encoding(rig):
    tap, sdk, rng = Tap(rig), rig.sdk, random.Random(1)
    mdeg = [rng.randint(-180_000, 180_000) for _ in range(6)]
    pairs = [tuple(math.radians(v / 1000) for v in mdeg[i : i + 2]) for i in (0, 2, 4)]
    got = tap.sent_by(lambda: sdk.JointCtrl(*mdeg), 3)
    assert got == [(0x155 + i, pytest.approx(pair)) for i, pair in enumerate(pairs)]
    assert tap.sent_by(lambda: sdk.ModeCtrl(1, 4, 77, 0xAD)) == [(0x151, (1, 4, 77, 0xAD, 0, 0))]
    assert tap.sent_by(lambda: sdk.GripperCtrl(-12345, 4321, 3, 0xAE)) == [
        (0x159, pytest.approx((-0.012345, 4.321, 3, 0xAE)))
    ]
    pose = (123456, -234567, 345678, -90_000, 45_000, 179_999)
    si = [v * 1e-6 for v in pose[:3]] + [math.radians(v / 1000) for v in pose[3:]]
    assert tap.sent_by(lambda: sdk.EndPoseCtrl(*pose), 3) == [
        (0x152 + i, pytest.approx(tuple(si[2 * i : 2 * i + 2]))) for i in range(3)
    ]
    assert tap.sent_by(lambda: sdk.MotionCtrl_1(2, 7, 3)) == [(0x150, (2, 7, 3, 0, 0, 0))]
    assert tap.sent_by(lambda: sdk.EnableArm(4)) == [(0x471, (4, 2))]
    assert tap.sent_by(lambda: sdk.DisableArm(7)) == [(0x471, (7, 1))]
    assert tap.sent_by(lambda: sdk.MasterSlaveConfig(0xFA, 0x10, 0x20, 0x10)) == [(0x470, (0xFA, 16, 32, 16))]
    assert tap.sent_by(lambda: sdk.SearchMotorMaxAngleSpdAccLimit(5, 2)) == [(0x472, (5, 2))]
    assert tap.sent_by(lambda: sdk.MotorAngleLimitMaxSpdSet(3, 100, -1700, 3000)) == [(0x474, (3, 100, -1700, 3000))]
    assert tap.sent_by(lambda: sdk.JointConfig(6, 0xAE, 0xAE, 321, 0xAE)) == [(0x475, (6, 0xAE, 0xAE, 321, 0xAE))]
    assert tap.sent_by(lambda: sdk.ArmParamEnquiryAndConfig(1, 2, 0, 0xAE, 2)) == [(0x477, (1, 2, 0, 0xAE, 2))]
    assert tap.sent_by(lambda: sdk.EndSpdAndAccParamSet(1, 2, 3, 4)) == [(0x479, (1, 2, 3, 4))]
    assert tap.sent_by(lambda: sdk.CrashProtectionConfig(1, 2, 3, 4, 5, 6)) == [(0x47A, (1, 2, 3, 4, 5, 6))]
    assert tap.sent_by(lambda: sdk.GripperTeachingPendantParamConfig(150, 100, 5)) == [(0x47D, (150, 100, 5))]


def test_our_mit_decoding_agrees_with_the_sdks_encoding(rig):
    tap, rng = Tap(rig), random.Random(2)
    for joint in range(1, 7):
        values = (
            rng.uniform(-12, 12),
            rng.uniform(-45, 45),
            rng.uniform(0, 500),
            rng.uniform(-5, 5),
            rng.uniform(-8, 8),
        )
        tap.port.receive()
        rig.sdk.JointMitCtrl(joint, *values)
        wait_until(lambda: len(tap.port._inbox) > 0, "the frame")
        (frame,) = tap.port.receive()
        assert frame.arbitration_id == 0x159 + joint
        counts = (25 / 65535, 90 / 4095, 500 / 4095, 10 / 4095, 16 / 255)
        for ours, asked, count in zip(mit.decode(frame.data), values, counts, strict=True):
            assert ours == pytest.approx(asked, abs=1.01 * count)


def test_the_sdks_decoding_agrees_with_our_encoding(make_rig):
    rig = make_rig(q_rad=(0.3, 1.1, -1.2, 0.4, -0.5, 0.6), gripper_m=0.0325)
    encoders = rig.arm.encoders
    rig.emulator.tick()
    encoders.qd_rad_s, encoders.tau_nm = [0.1 * n for n in range(-3, 3)], [0.5 * n for n in range(-3, 3)]
    encoders.gripper_effort_nm = 0.77
    q, port = list(encoders.q_rad), rig.segment.attach()
    for _ in range(5):
        port.send(rig.arm.feedback(0))
    sdk, stamp = rig.sdk, rig.segment.last_stamp_ns / 1e9
    wait_until(lambda: sdk.GetArmHighSpdInfoMsgs().time_stamp == stamp, "the SDK to read")
    assert joints_mdeg(sdk) == [round(math.degrees(angle) * 1000) for angle in q]
    fast = sdk.GetArmHighSpdInfoMsgs()
    for index in range(6):
        motor = getattr(fast, f"motor_{index + 1}")
        assert motor.motor_speed == round(encoders.qd_rad_s[index] * 1000)
        assert motor.effort / 1000 == pytest.approx(encoders.tau_nm[index], abs=NM_PER_A[index] * 1e-3)
    gripper = sdk.GetArmGripperMsgs().gripper_state
    assert (gripper.grippers_angle, gripper.grippers_effort) == (round(encoders.gripper_m * 1e6), 770)
    low = sdk.GetArmLowSpdInfoMsgs().motor_4
    assert (low.vol, low.foc_temp, low.motor_temp, low.bus_current) == (240, 35, 30, 0)
    pose = sdk.GetArmEndPoseMsgs().end_pose
    sdk.EnableFkCal()
    port.send(rig.arm.feedback(0))
    wait_until(lambda: any(sdk.GetFK("feedback")[-1]), "the SDK's own kinematics")
    x, y, z, rx, ry, rz = sdk.GetFK("feedback")[-1]
    assert (pose.X_axis, pose.Y_axis, pose.Z_axis) == pytest.approx((x * 1000, y * 1000, z * 1000), abs=20)
    assert (pose.RX_axis, pose.RY_axis, pose.RZ_axis) == pytest.approx((rx * 1000, ry * 1000, rz * 1000), abs=20)


def test_connect_firmware_limits_and_rate(rig):
    sdk = rig.sdk
    sdk.SearchPiperFirmwareVersion()
    rig.run_until(lambda: sdk.GetPiperFirmwareVersion() == "S-V1.8-9", "the firmware")
    expected = {1: (1500, -1500), 2: (1800, 0), 3: (0, -1700), 4: (1000, -1000), 5: (700, -700), 6: (1200, -1200)}
    for motor, (upper, lower) in expected.items():
        sdk.SearchMotorMaxAngleSpdAccLimit(motor, 0x01)

        def limits(sdk=sdk):
            return sdk.GetCurrentMotorAngleLimitMaxVel().current_motor_angle_limit_max_vel

        rig.run_until(lambda motor=motor: limits().motor_num == motor, f"limits of motor {motor}")
        assert (limits().max_angle_limit, limits().min_angle_limit, limits().max_joint_spd) == (upper, lower, 3000)
    before = [client.frames + client.lost for client in rig.segment.clients]
    rig.run(2.0)
    after = [client.frames + client.lost for client in rig.segment.clients]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2 * 3040] * 2
    assert sdk.isOk()


def test_long_firmware_versions_are_cut_by_the_sdk_and_whole_on_the_wire(make_rig):
    rig = make_rig(firmware="S-V1.8-10")
    tap = rig.segment.attach()
    rig.sdk.SearchPiperFirmwareVersion()
    rig.run_until(lambda: rig.sdk.GetPiperFirmwareVersion() == "S-V1.8-1", "the cut version")
    rig.run(0.02)
    text = b"".join(f.data for f in tap.receive() if f.arbitration_id == frames.FIRMWARE and f.data[0] != 1)
    assert b"S-V1.8-10\0" in text


def test_enable_move_and_grip(rig):
    rig.enable()
    target = [20_000, 30_000, -40_000, 10_000, 20_000, -30_000]
    rig.sdk.JointCtrl(*target)
    rig.sdk.GripperCtrl(50_000, 1000, 0x01, 0)
    rig.run_until(lambda: joints_mdeg(rig.sdk) == target, "the joints to arrive exactly")
    rig.run_until(lambda: rig.sdk.GetArmGripperMsgs().gripper_state.grippers_angle == 50_000, "the gripper")
    assert rig.sdk.GetArmStatus().arm_status.motion_status == 0
    assert rig.sdk.GetArmGripperMsgs().gripper_state.foc_status.driver_enable_status


def test_emergency_stop_reset_and_two_enables(make_rig):
    rig = make_rig(q_rad=(0, 1.0, -1.0, 0, 0, 0))
    rig.enable()
    rig.sdk.EmergencyStop(0x01)
    rig.run_until(lambda: rig.sdk.GetArmStatus().arm_status.arm_status == 1, "the emergency stop")
    held = joints_mdeg(rig.sdk)[1]
    rig.sdk.JointCtrl(0, 90_000, 0, 0, 0, 0)
    rig.run(0.5)
    assert held - 5_000 < joints_mdeg(rig.sdk)[1] <= held, "damped, commands ignored"
    rig.sdk.ResetPiper()
    rig.run(0.5)
    assert joints_mdeg(rig.sdk)[1] < held - 15_000, "dropped"
    assert not any(rig.sdk.GetArmEnableStatus())
    rig.sdk.EnableArm(7)
    rig.run(0.2)
    assert not any(rig.sdk.GetArmEnableStatus())
    rig.sdk.EnableArm(7)
    rig.run(0.2)
    assert all(rig.sdk.GetArmEnableStatus())


def test_mit_move(make_rig):
    rig = make_rig(firmware="S-V1.8-2")
    rig.enable()
    rig.sdk.ModeCtrl(0x01, 0x04, 100, 0xAD)
    for joint in range(1, 7):
        rig.sdk.JointMitCtrl(joint, -0.3 if joint == 3 else 0.3, 0, 10, 0.8, 0)
    goal = round(math.degrees(0.3) * 1000)
    rig.run_until(lambda: abs(joints_mdeg(rig.sdk)[0] - goal) < 30, "MIT motion")
    rig.run(0.5)
    assert joints_mdeg(rig.sdk) == pytest.approx([goal, goal, -goal, goal, goal, goal], abs=30)


def test_leader_mode_is_read_as_joint_commands(rig):
    rig.sdk.MasterSlaveConfig(0xFA, 0, 0, 0)
    rig.run_until(lambda: rig.arm.guided, "leader mode")
    rig.arm.guide((0.1, 0.2, -0.3, 0.1, 0.1, 0.1), 0.02)
    goal = round(math.degrees(0.2) * 1000)
    rig.run_until(lambda: abs(rig.sdk.GetArmJointCtrl().joint_ctrl.joint_2 - goal) < 5, "the leader's commands")
    rig.run_until(lambda: abs(rig.sdk.GetArmGripperCtrl().gripper_ctrl.grippers_angle - 20_000) < 50, "its gripper")


def test_our_own_commands_do_not_hide_that_the_arm_is_mute(rig):
    rig.enable()
    rig.arm.faults = Faults(mute=True)
    rig.sdk.ClearRespSetInstruction()
    before = rig.sdk.GetArmJointCtrl().time_stamp

    def send_and_ask() -> bool:
        rig.sdk.JointCtrl(0, 0, 0, 0, 0, 0)
        return not rig.sdk.isOk()

    wait_until(send_and_ask, "isOk to turn False")
    assert rig.sdk.GetArmJointCtrl().time_stamp == before == 0


@pytest.mark.parametrize("joint", range(1, 7))
def test_error_bits_land_on_the_right_joint(make_rig, joint):
    rig = make_rig()
    rig.arm.faults = Faults(joint_comm=frozenset({joint}), collision=frozenset({joint % 6 + 1}))
    rig.run(0.05)
    status = rig.sdk.GetArmStatus().arm_status
    flags = [getattr(status.err_status, f"communication_status_joint_{n}") for n in range(1, 7)]
    assert status.err_code == 1 << (joint - 1)
    assert flags == [n == joint for n in range(1, 7)]
    low = rig.sdk.GetArmLowSpdInfoMsgs()
    hit = [getattr(low, f"motor_{n}").foc_status.collision_status for n in range(1, 7)]
    assert hit == [n == joint % 6 + 1 for n in range(1, 7)]


def test_an_angle_limit_shows_in_the_high_byte(rig):
    rig.enable()
    rig.sdk.JointCtrl(0, 0, 0, 120_000, 0, 0)
    rig.run_until(lambda: rig.sdk.GetArmStatus().arm_status.arm_status == 4, "target over limit")
    status = rig.sdk.GetArmStatus().arm_status
    assert status.err_status.joint_4_angle_limit and status.err_code == 1 << 11


def test_driver_bits_read_as_the_sdk_names_them(rig):
    names = {
        Bit.LOW_VOLTAGE: "voltage_too_low",
        Bit.MOTOR_HOT: "motor_overheating",
        Bit.OVERCURRENT: "driver_overcurrent",
        Bit.DRIVER_HOT: "driver_overheating",
        Bit.COLLISION: "collision_status",
        Bit.DRIVER_ERROR: "driver_error_status",
        Bit.STALL: "stall_status",
    }
    for bit, name in names.items():
        rig.arm.faults = Faults()
        rig.sdk.JointConfig(7, 0, 0, 0, 0xAE)
        rig.run(0.05)
        rig.arm.faults = Faults(driver_bits=1 << bit)
        rig.run(0.05)
        status = rig.sdk.GetArmLowSpdInfoMsgs().motor_2.foc_status
        assert [n for n in names.values() if getattr(status, n)] == [name]


def test_absurd_limits_reach_the_sdk(rig):
    rig.arm.faults = Faults(absurd_limits=True)
    rig.sdk.SearchMotorMaxAngleSpdAccLimit(1, 0x01)

    def limits():
        return rig.sdk.GetCurrentMotorAngleLimitMaxVel().current_motor_angle_limit_max_vel

    rig.run_until(lambda: limits().motor_num == 1, "the answer")
    assert limits().max_angle_limit < limits().min_angle_limit and limits().max_joint_spd == 0


def test_without_a_firmware_answer_the_sdk_says_so(rig):
    rig.arm.faults = Faults(no_firmware=True)
    rig.sdk.SearchPiperFirmwareVersion()
    rig.run(0.1)
    assert rig.sdk.GetPiperFirmwareVersion() == -0x4AF


def test_instruction_answers_reach_the_sdk(rig):
    rig.sdk.ClearRespSetInstruction()
    rig.sdk.JointConfig(2, 0xAE, 0, 0, 0)
    rig.run_until(lambda: rig.sdk.GetRespInstruction().instruction_response.instruction_index == 0x75, "0x476")
    assert rig.sdk.GetRespInstruction().instruction_response.is_set_zero_successfully == 1


def test_bus_loss_is_recovered_by_reconnecting(rig):
    rig.run(0.1)
    rig.segment.down()
    status = rig.sdk.GetCanBus().CAN_STATUS
    wait_until(
        lambda: rig.sdk.GetCanBus().SendCanMessage(0x151, [0] * 8) is status.SEND_CAN_BUS_NOT_OK, "sends to fail"
    )
    rig.sdk.DisconnectPort()
    rig.segment.up()
    rig.sdk.ConnectPort(can_init=True, piper_init=False)
    stamp = time.time()
    rig.run_until(lambda: rig.sdk.GetArmJointMsgs().time_stamp > stamp, "feedback again")
    rig.enable()


def test_the_sdk_cannot_open_a_bus_that_is_not_there():
    sdk = C_PiperInterface_V2("nobody_hosts_this", judge_flag=False, can_auto_init=False)
    sdk.CreateCanBus("nobody_hosts_this", bustype="smp_vcan", judge_flag=False)
    status = sdk.GetCanBus().CAN_STATUS
    assert sdk.GetCanBus().Init() is status.INIT_CAN_BUS_OPENED_FAILED
