"""What each command frame does to an emulated arm: one function a frame, HANDLERS at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from piper_bringup.can import frames, mit
from piper_bringup.can.frames import Ctrl, Move
from piper_bringup.can.settings import acknowledge
from piper_bringup.can.wire import Frame

if TYPE_CHECKING:
    from piper_bringup.can.arm import EmulatedArm

JOINT_MODES = (Move.J, Move.CPV)
MIT_MODES = (Move.M, Move.M_WIDE)
MIT_FLIPPED = (0, 1, 3, 5)  # indices of the joints whose MIT sign is reversed before S-V1.7-3
_OFFSETS = (0x00, 0x10, 0x20)
_EPSILON_RAD = 1e-6


def on_stop(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x150: 1 emergency stop, joints damped; 2 reset, joints lose power and errors are cleared; teaching."""
    estop, track, teach, index = values[:4]
    if estop == 1:
        arm.estop = True
        if arm.ctrl == Ctrl.TEACH:
            arm.ctrl, arm.teach = Ctrl.STANDBY, 0
    elif estop == 2:
        arm.reset()
    if teach == 1 and not arm.estop:
        arm.ctrl, arm.teach, arm.hand = Ctrl.TEACH, 1, None
    elif teach == 2 and arm.ctrl == Ctrl.TEACH:
        arm.ctrl, arm.teach = Ctrl.STANDBY, 2
        arm.motion.stop()
    return [frames.encode(frames.ANSWER, frames.STOP & 0xFF, 0, index)] if track == 7 else []


def on_mode(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x151: control and move mode, speed %. Repeating it changes nothing; impossible values do nothing."""
    ctrl, move, speed, follow = values[:4]
    moves = Move if arm.wide_mit else tuple(Move)[:-1]
    if arm.estop or ctrl not in (Ctrl.STANDBY, Ctrl.CAN) or move not in tuple(moves) or speed > 100:
        return []
    if (ctrl, move) != (arm.ctrl, arm.move):
        arm.motion.stop()
        arm.tool.stop()
        arm.no_solution = False
    arm.ctrl, arm.move, arm.speed = Ctrl(ctrl), Move(move), speed / 100
    if follow != 0xFF:
        arm.high_follow = follow == frames.HIGH_FOLLOW
    return []


def on_joint_target(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x155-0x157: two joints' targets; refused with status 4 when one is over its limit."""
    first = 2 * frames.JOINT_TARGET.index(frame_id)
    pair = dict(zip((first, first + 1), values, strict=True))
    if arm.obeys(*JOINT_MODES) and _within_limits(arm, pair):
        arm.no_solution = False
        for index, target in pair.items():
            if arm.motors.enabled[index]:
                arm.motion.target_rad[index] = target
    return []


def on_pose_target(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x152-0x154: a pose of the flange; out of reach, or an arc (MOVE C), it says "no solution" and stays."""
    if arm.obeys(Move.C):
        arm.no_solution = True
    elif arm.obeys(Move.P, Move.L):
        part = frames.POSE_TARGET.index(frame_id)
        solved = arm.tool.target(part, values, arm.move, arm.motion, arm.settings.limits)
        arm.no_solution = not solved if part == 2 else arm.no_solution
    return []


def on_mit(arm: EmulatedArm, frame_id: int, data: bytes) -> list[Frame]:
    """0x15A-0x15F: impedance command of one joint; dropped when the checksum is wrong."""
    index = frames.MIT.index(frame_id)
    try:
        command = mit.decode(data, arm.wide_mit)
    except ValueError:
        return []
    if arm.mit_flips and index in MIT_FLIPPED:
        command = command._replace(p_rad=-command.p_rad)
    if arm.obeys(*MIT_MODES) and arm.motors.enabled[index] and _within_limits(arm, {index: command.p_rad}):
        arm.motion.mit[index] = command
    return []


def on_gripper(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x159: opening, effort, power, zero. Needs no control mode (the vendor's demo never sets one)."""
    opening_m, effort_nm, code, zero = values
    if arm.estop or arm.guided:
        return []
    if zero == frames.MAGIC_BYTE:
        arm.encoders.set_gripper_zero()
        arm.gripper_target_m = 0.0
        return []
    if code in (0, 2):
        arm.motors.switch_off((6,))
    elif code in (1, 3):
        arm.motors.enable_gripper(arm.now_s, arm.faults.enable_refused)
        arm.gripper_target_m = min(max(opening_m, 0.0), arm.settings.stroke_m)
        arm.gripper_effort_nm = min(effort_nm, 5.0)
    return []


def on_role(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x470: 0xFA makes a leader, 0xFC a follower in standby; the offsets move the identifiers."""
    role, *offsets = values
    if any(offset not in _OFFSETS for offset in offsets):
        return []
    if role in (frames.LEADER_CODE, frames.FOLLOWER_CODE):
        arm.ctrl = Ctrl.LEADER if role == frames.LEADER_CODE else Ctrl.STANDBY
        arm.feedback_offset, arm.command_offset, arm.target_offset = offsets
        arm.hand, arm.homing = None, False
        arm.motion.stop()
    return [acknowledge(frame_id)]


def on_enable(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x471: torque of one motor, or of all and the gripper (7, 0xFF); not while stopped."""
    number, flag = values
    if flag == 1 or (flag == 2 and not arm.estop):
        arm.motors.command(number, flag == 2, arm.now_s, arm.faults.enable_refused)
    return [acknowledge(frame_id)]


def on_joint_config(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x475: zero here, acceleration, clear errors; motor 1..6 or 7 for all joints."""
    number, zero, use_acceleration, acceleration, clear = values
    if not 1 <= number <= 7:
        return []
    indices = range(6) if number == 7 else (number - 1,)
    if zero == frames.MAGIC_BYTE:
        for index in indices:
            arm.motion.shift(index, -arm.encoders.q_rad[index])
            arm.encoders.set_zero(index)
    if use_acceleration == frames.MAGIC_BYTE and acceleration != frames.KEEP:
        arm.settings.set_acceleration(number, acceleration)
    if clear == frames.MAGIC_BYTE:
        arm.motors.clear_errors(indices, arm.faults)
        arm.over_limit -= set(indices)
    return [acknowledge(frame_id, zero_set=zero == frames.MAGIC_BYTE)]


def on_setting(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x472, 0x474, 0x477, 0x479, 0x47A, 0x47D: questions and settings."""
    return arm.settings.handle(frame_id, values, arm.faults)


def on_firmware(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x4AF: the version text follows, one frame a tick."""
    if values[0] == 1 and not arm.faults.no_firmware:
        arm.outbox += arm.settings.firmware_answer()
    return []


def on_leader_home(arm: EmulatedArm, frame_id: int, values: tuple) -> list[Frame]:
    """0x191: byte 2 = 1 sends a leader home, 0 gives it back to the hand."""
    arm.homing = arm.ctrl == Ctrl.LEADER and values[2] == 1
    return []


def _within_limits(arm: EmulatedArm, targets: dict[int, float]) -> bool:
    over = set()
    for index, target in targets.items():
        limit = arm.settings.limits[index]
        if not limit.lower_rad - _EPSILON_RAD <= target <= limit.upper_rad + _EPSILON_RAD:
            over.add(index)
    arm.over_limit = (arm.over_limit - targets.keys()) | over
    return not over


Handler = Callable[["EmulatedArm", int, tuple], list[Frame]]

HANDLERS: dict[int, Handler] = {
    frames.STOP: on_stop,
    frames.MODE: on_mode,
    **dict.fromkeys(frames.POSE_TARGET, on_pose_target),
    **dict.fromkeys(frames.JOINT_TARGET, on_joint_target),
    frames.GRIPPER_TARGET: on_gripper,
    frames.ENABLE: on_enable,
    frames.JOINT_CONFIG: on_joint_config,
    frames.ASK_MOTOR: on_setting,
    frames.SET_MOTOR_LIMITS: on_setting,
    frames.ASK_PARAMETER: on_setting,
    frames.SET_END_LIMITS: on_setting,
    frames.SET_CRASH_LEVELS: on_setting,
    frames.SET_GRIPPER_PARAMETER: on_setting,
    frames.FIRMWARE: on_firmware,
    frames.ROLE: on_role,
    frames.LEADER_HOME: on_leader_home,
}
LEADER_HANDLERS = {frame_id: HANDLERS[frame_id] for frame_id in (frames.ROLE, frames.LEADER_HOME)}
TEACH_IGNORES = (frames.MODE, *frames.JOINT_TARGET, *frames.POSE_TARGET, frames.GRIPPER_TARGET)
