"""Helpers of the test_can_* tests: an emulated arm on injected time, channels, bounded waits, the SDK."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable

import numpy as np
from piper_sdk import C_PiperInterface_V2

from piper_bringup.can import frames
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.emulator import Emulator
from piper_bringup.can.plant import FirstOrderPlant
from piper_bringup.can.report import TICK_S
from piper_bringup.can.wire import Frame

WAIT_S = 10.0  # generous: a loaded machine must not fail a test
_numbers = itertools.count()


def fresh_channel(word: str = "can") -> str:
    """A segment name nobody else uses; piper_sdk keeps one object per name for ever."""
    return f"test{os.getpid()}_{next(_numbers)}_{word}"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Returns once `condition` holds; AssertionError after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for: {what}"
        time.sleep(0.001)


class Bench:
    """An emulated arm with its built-in dynamics, on injected time and without a wire."""

    def __init__(self, **arm: object) -> None:
        self.arm = EmulatedArm(**arm)
        self.plant = FirstOrderPlant(self.arm.encoders.q_rad, self.arm.encoders.gripper_m)
        self.state = self.plant.step(self.arm.drive, TICK_S)
        self.t_ns = 0
        self.latest: dict[int, bytes] = {}

    def send(self, frame: Frame) -> list[Frame]:
        """A command reaches the arm; its immediate answers."""
        return self.arm.receive(frame.arbitration_id, frame.data, self.t_ns)

    def run(self, seconds: float) -> list[Frame]:
        """Everything the arm sends meanwhile."""
        heard = []
        for _ in range(round(seconds / TICK_S)):
            self.arm.advance(TICK_S)
            self.state = self.plant.step(self.arm.drive, TICK_S)
            self.arm.measured(self.state)
            self.t_ns += round(TICK_S * 1e9)
            heard += self.arm.feedback(self.t_ns)
        self.latest |= {frame.arbitration_id: frame.data for frame in heard}
        return heard

    def ready(self, speed: int = 100, move: int = frames.Move.J, follow: int = 0) -> Bench:
        """Enabled and in CAN mode."""
        self.send(frames.encode(frames.ENABLE, 7, 2))
        self.mode(speed, move, follow)
        self.run(0.05)
        return self

    def mode(self, speed: int = 100, move: int = frames.Move.J, follow: int = 0, ctrl: int = 1) -> None:
        """Sends 0x151."""
        self.send(frames.encode(frames.MODE, ctrl, move, speed, follow, 0, 0))

    def aim(self, q_rad) -> None:
        """Sends 0x155-0x157."""
        for index, frame_id in enumerate(frames.JOINT_TARGET):
            self.send(frames.encode(frame_id, *q_rad[2 * index : 2 * index + 2]))

    def read(self, frame_id: int) -> tuple:
        """Values of the latest frame of this kind."""
        return frames.decode(frame_id, self.latest[frame_id])

    @property
    def q_rad(self) -> np.ndarray:
        """Where the joints really are."""
        return self.state.q_rad


class SdkRig:
    """The unmodified piper_sdk on a segment whose arm is stepped by hand."""

    def __init__(self, **arm: object) -> None:
        self.channel = fresh_channel("sdk")
        self.arm = EmulatedArm(**arm)
        self.emulator = Emulator((self.channel, self.arm))
        self.segment = self.emulator.segments[self.channel]
        self.sdk = C_PiperInterface_V2(self.channel, judge_flag=False, can_auto_init=False)
        self.sdk.CreateCanBus(self.channel, bustype="smp_vcan", judge_flag=False)
        self.sdk.ConnectPort(piper_init=False)

    def run_until(self, condition: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
        """Steps the arm until `condition` holds, for at most `seconds` of the arm's time."""
        for _ in range(round(seconds / TICK_S)):
            if condition():
                return
            self.emulator.tick()
            time.sleep(0.0005)  # the SDK's reading thread needs a turn
        wait_until(condition, what)

    def run(self, seconds: float) -> None:
        """Steps the arm, then waits until the SDK has read everything."""
        for _ in range(round(seconds / TICK_S)):
            self.emulator.tick()
            time.sleep(0.0002)
        stamp_ns = self.segment.last_stamp_ns
        wait_until(lambda: self.sdk.GetArmHighSpdInfoMsgs().time_stamp >= stamp_ns / 1e9, "the SDK to catch up")

    def enable(self) -> None:
        """Until the SDK sees all six joints powered, then CAN mode."""
        self.run_until(self.sdk.EnablePiper, "EnablePiper")
        self.sdk.ModeCtrl(0x01, 0x01, 100, 0x00)
        self.run_until(lambda: self.sdk.GetArmStatus().arm_status.ctrl_mode == 1, "CAN mode")

    def close(self) -> None:
        """Ends the SDK's reading thread and the segment."""
        self.sdk.DisconnectPort()
        self.emulator.close()


def joints_mdeg(sdk: C_PiperInterface_V2) -> list[int]:
    """Six joint angles as the SDK reports them, 0.001 degree."""
    state = sdk.GetArmJointMsgs().joint_state
    return [getattr(state, f"joint_{number}") for number in range(1, 7)]
