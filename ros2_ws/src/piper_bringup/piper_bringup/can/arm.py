"""The firmware of an emulated PiPER: modes, set-points, power and errors. No threads and no clock of its own.

Each 5 ms its owner hands it the frames that arrived (`receive`), lets it compute (`advance`), gives `drive`
to whatever moves the joints, reports what they did (`measured`) and puts `feedback` on the wire.

Assumptions where no document says (HARDWARE §c "not proved"): enable takes 20 ms; set-points run at speed %
of the joint's limit with 5 rad/s^2 and brake four times harder; high-follow (0xAD) and MIT skip the
acceleration limit; MIT goes to its position whatever the gains and the torque, because whoever moves the
joints carries their weight, and sinks when kp is next to nothing; a drive error stops the arm where it is
until cleared; a target pair with one value over its limit is refused whole; a leader answers nothing and
sends its five commands at 200 Hz. Not emulated: MOVE C (answers "no solution"), the speeds of MOVE CPV,
offline trajectories, periodic 0x481-0x486, light, load and installation settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from piper_bringup.can import commands, frames, report
from piper_bringup.can.drive import Drive, PlantState, Power
from piper_bringup.can.encoders import Encoders
from piper_bringup.can.faults import Faults
from piper_bringup.can.frames import Ctrl, Move
from piper_bringup.can.motion import Motion
from piper_bringup.can.motors import GRIPPER, Motors
from piper_bringup.can.settings import FACTORY_LIMITS, MotorLimits, Settings, version_tuple
from piper_bringup.can.tool import Tool
from piper_bringup.can.wire import Frame
from piper_bringup.data.names import GRIPPER_MAX_M, REST_RAD

HOMING_SPEED = 0.2  # of the joint's limit, for 0x191
SOFT_KP = 0.5  # [Nm/rad] with less stiffness than this MIT holds nothing: the joint sinks
START_SPEED = 0.5  # of the joint's limit, before the first 0x151


class EmulatedArm:
    """One arm. `faults` may be replaced at any time; the other attributes are the firmware's own.

    Raises ValueError for a firmware text of another form than S-V1.8-9, or other than six joints.
    """

    def __init__(
        self,
        firmware: str = "S-V1.8-9",
        limits: tuple[MotorLimits, ...] = FACTORY_LIMITS,
        gripper_stroke_m: float = GRIPPER_MAX_M,
        q_rad: Sequence[float] = REST_RAD,
        gripper_m: float = 0.0,
        leader: bool = False,
    ) -> None:
        version = version_tuple(firmware)
        self.wide_mit = version >= (1, 8, 8)
        self.torque_factor = 4.0 if version <= (1, 8, 2) else 1.0  # of joints 1..3
        self.mit_flips = version < (1, 7, 3)
        self.old_zero = version < (1, 6, 3)
        self.faults = Faults()
        self.settings = Settings(firmware, limits, gripper_stroke_m)
        self.motors = Motors()
        self.encoders = Encoders(q_rad, gripper_m)
        self.motion = Motion(self.encoders.q_rad)
        self.gripper_target_m, self.gripper_effort_nm = float(gripper_m), 1.0
        self.ctrl, self.move = Ctrl.LEADER if leader else Ctrl.STANDBY, Move.J
        self.speed, self.high_follow = START_SPEED, False
        self.estop, self.teach, self.no_solution = False, 0, False
        self.over_limit: set[int] = set()  # joints whose last target was refused
        self.command_offset = self.feedback_offset = self.target_offset = 0
        self.tool = Tool(self.old_zero)
        self.hand: tuple[list[float], float] | None = None
        self.homing = False
        self.outbox: list[Frame] = []  # slow answers, one a tick
        self.now_s = 0.0
        self._ticks = 0

    def receive(self, frame_id: int, data: bytes, t_ns: int) -> list[Frame]:
        """One frame from the wire; returns the answers due at once, stamped `t_ns`. Unknown: ignored."""
        if self.faults.deaf:
            return []
        if self.command_offset:
            if frame_id in frames.COMMAND_BLOCK:
                return []
            if frame_id - self.command_offset in frames.COMMAND_BLOCK:
                frame_id -= self.command_offset
        if frame_id in frames.MIT:
            return commands.on_mit(self, frame_id, data)
        handlers = commands.LEADER_HANDLERS if self.ctrl == Ctrl.LEADER else commands.HANDLERS
        if frame_id not in handlers or (self.ctrl == Ctrl.TEACH and frame_id in commands.TEACH_IGNORES):
            return []
        answers = handlers[frame_id](self, frame_id, frames.decode(frame_id, data))
        return self._audible(answers, t_ns)

    def advance(self, dt_s: float) -> None:
        """One tick of the firmware: power, errors, set-points."""
        self.now_s += dt_s
        self.motors.latch(self.faults)
        came_on = self.motors.advance(self.now_s)
        if self.stopped:
            self.motion.stop()
        self._step_tool(dt_s)
        self.motion.hold(self.encoders.q_rad, [index for index in came_on if index != GRIPPER])
        for index in range(6):
            self._step_joint(index, dt_s)
        if self.guided and self.hand is not None:
            self.gripper_target_m = self.hand[1]

    @property
    def drive(self) -> Drive:
        """What the joints should do now, in the plant's angles."""
        gripper_on = self.motors.enabled[GRIPPER] or self.guided
        return Drive(
            q_rad=np.add(self.motion.set_rad, self.encoders.zero_rad),
            power=np.array([self.power(index) for index in range(6)]),
            gripper_m=self.gripper_target_m + self.encoders.gripper_zero_m,
            gripper_effort_nm=self.gripper_effort_nm,
            gripper_on=gripper_on and self.settings.stroke_mm > 0,
        )

    def measured(self, state: PlantState) -> None:
        """What the joints did. Raises ValueError for a state that is not finite: no encoder can report it."""
        self.encoders.update(state, self.faults)

    def feedback(self, t_ns: int) -> list[Frame]:
        """Frames due in this tick: 14 of the 200 Hz groups, every fifth tick 6 more, and one slow answer."""
        self._ticks += 1
        answers = [self.outbox.pop(0)] if self.outbox else []
        if self.ctrl == Ctrl.LEADER:
            found = report.leader_frames(self.encoders.q_rad, self.encoders.gripper_m, self.target_offset)
            return self._audible(found, t_ns)
        shown = self._report()
        slow = report.slow_frames(shown) if self._ticks % report.SLOW_EVERY == 0 else []
        return self._audible(answers + report.tick_frames(shown) + slow, t_ns)

    def guide(self, q_rad: Sequence[float], gripper_m: float) -> None:
        """A hand moves the arm there. Raises ValueError outside teach and leader mode: it does not yield."""
        if not self.guided:
            raise ValueError(f"an arm yields to a hand in teach or leader mode only, it is in {self.ctrl!r}")
        self.hand = [float(q) for q in q_rad], float(gripper_m)

    @property
    def guided(self) -> bool:
        """Gravity is compensated and the joints yield to a hand."""
        return self.ctrl in (Ctrl.LEADER, Ctrl.TEACH)

    def obeys(self, *moves: Move) -> bool:
        """Whether motion commands of these move modes are followed now."""
        return self.ctrl == Ctrl.CAN and self.move in moves and not self.estop and not self.stopped

    def power(self, index: int) -> Power:
        """State of one joint's drive."""
        if self.guided:
            return Power.SERVO
        if not self.motors.enabled[index]:
            return Power.OFF
        mit = self.motion.mit[index]
        return Power.DAMPED if self.estop or (mit is not None and mit.kp < SOFT_KP) else Power.SERVO

    def reset(self) -> None:
        """0x150 = 2: every joint loses power, errors and flags are cleared, standby."""
        self.motors.reset(self.faults)
        self.estop, self.teach, self.no_solution = False, 0, False
        self.over_limit = set()
        self.ctrl, self.move, self.high_follow = Ctrl.STANDBY, Move.J, False
        self.motion.hold(self.encoders.q_rad)

    @property
    def status(self) -> int:
        """Arm status of 0x2A1, a frames.Status unless the faults pretend another."""
        return report.arm_status(self)

    @property
    def stopped(self) -> bool:
        """A drive error or a lost joint: the arm stands, and motion commands are ignored."""
        return bool(self.faults.joint_comm) or any(self.motors.errors)

    def _step_joint(self, index: int, dt_s: float) -> None:
        limits, motion = self.settings.limits[index], self.motion
        mit = motion.mit[index]
        if self.guided:
            if self.homing:
                motion.follow(index, REST_RAD[index], limits.speed_rad_s * HOMING_SPEED, dt_s)
            elif self.hand is not None:
                motion.follow(index, self.hand[0][index], limits.speed_rad_s, dt_s)
        elif not self.motors.enabled[index] or self.estop:
            motion.hold(self.encoders.q_rad, (index,))
        elif mit is not None:
            goal = mit.p_rad if mit.kp >= SOFT_KP else self.encoders.q_rad[index]
            motion.follow(index, goal, limits.speed_rad_s, dt_s)
        elif self.tool.on_line:
            motion.follow(index, motion.target_rad[index], limits.speed_rad_s, dt_s)
        elif self.high_follow:
            motion.follow(index, motion.target_rad[index], limits.speed_rad_s * self.speed, dt_s)
        else:
            motion.plan(index, limits, self.speed, dt_s)

    def _step_tool(self, dt_s: float) -> None:
        if not self.obeys(Move.P, Move.L):
            self.tool.stop()
            return
        speed_m_s, _, acceleration, _ = self.settings.end_limits
        reached = self.tool.step(self.motion, self.settings.limits, speed_m_s * self.speed, acceleration, dt_s)
        self.no_solution = self.no_solution or not reached

    def _report(self) -> report.Report:
        return report.snapshot(self)

    def _audible(self, found: list[Frame], t_ns: int) -> list[Frame]:
        if self.faults.mute:
            return []
        muted, offset = self.faults.mute_ids, self.feedback_offset
        if not muted and not offset:
            return [Frame(frame.arbitration_id, frame.data, t_ns) for frame in found]
        ids = [f.arbitration_id + (offset if f.arbitration_id in frames.FEEDBACK_BLOCK else 0) for f in found]
        return [Frame(i, f.data, t_ns) for i, f in zip(ids, found, strict=True) if i not in muted]
