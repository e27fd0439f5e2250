"""readiness, arm.buses: the walk before a robot's graph starts, on emulated arms and python-can's virtual bus."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import can
import pytest
from can_rig import fresh_channel
from test_arm_interfaces import UP

from piper_bringup import readiness
from piper_bringup.arm import buses, interfaces
from piper_bringup.can import frames
from piper_bringup.can.arm import EmulatedArm
from piper_bringup.can.emulator import Emulator
from piper_bringup.can.faults import Faults
from piper_bringup.options import OptionError, Options

CONFIG = Path(__file__).parents[1] / "config"
SECONDS = 3.0  # that an emulated arm on a busy machine may take to answer


def served(ends: ExitStack, **arms: EmulatedArm) -> dict[str, can.BusABC]:
    """Emulated arms, each on its own segment, and both buses."""
    channels = {side: fresh_channel(side) for side in arms}
    ends.enter_context(Emulator(*((channels[side], arm) for side, arm in arms.items())))
    return dict(buses.opened(channels, "smp_vcan", ends))


@pytest.fixture
def ends():
    with ExitStack() as ends:
        yield ends


def test_two_arms_that_answer_tell_their_firmware(ends):
    both = served(ends, left=EmulatedArm(), right=EmulatedArm())
    told = buses.ask(both, SECONDS)
    assert set(told) == {"left", "right"} and all(version.startswith("S-V") for version in told.values())


def test_an_arm_that_does_not_answer_is_named(ends):
    mute = EmulatedArm()
    mute.faults = Faults(no_firmware=True)
    both = served(ends, left=EmulatedArm(), right=mute)
    with pytest.raises(buses.BusError, match="the right arm is heard, but does not tell its firmware"):
        buses.ask(both, 0.5)


def virtual(ends: ExitStack, left: str, right: str) -> dict[str, can.BusABC]:
    return dict(buses.opened({"left": left, "right": right}, "virtual", ends))


def test_a_silent_bus_is_named(ends):
    with pytest.raises(buses.BusError, match="nothing is heard from the left arm: is it switched on"):
        buses.ask(virtual(ends, fresh_channel(), fresh_channel()), 0.05)


def test_two_interfaces_on_one_bus_are_noticed(ends):
    same = fresh_channel()
    with pytest.raises(buses.BusError, match="both CAN interfaces are on the same bus"):
        buses.ask(virtual(ends, same, same), 0.05)


class Playing:
    """Sends frames on a virtual channel until it is closed."""

    def __init__(self, channel: str, frame) -> None:
        self._bus, self._frame, self._stop = can.Bus(interface="virtual", channel=channel), frame, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Playing:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._bus.shutdown()

    def _run(self) -> None:
        began_s = time.monotonic()
        while not self._stop.wait(0.005):
            one = self._frame(time.monotonic() - began_s)
            self._bus.send(can.Message(arbitration_id=one.arbitration_id, data=one.data, is_extended_id=False))


def test_an_arm_that_was_left_as_a_leader_is_named(ends):
    left, right = fresh_channel(), fresh_channel()
    ends.enter_context(Playing(left, lambda _: frames.encode(frames.JOINT_TARGET[0], 0.0, 0.0)))
    with pytest.raises(buses.BusError, match="the left arm is set as a leader"):
        buses.ask(virtual(ends, left, right), 0.3)


@pytest.mark.parametrize("arm", ["left", "right"])
def test_the_arm_that_a_hand_moves_is_found(ends, arm):
    channels = {"left": fresh_channel(), "right": fresh_channel()}
    for side, channel in channels.items():
        speed = 0.5 if side == arm else 0.0  # the other one stands, and trembles
        move = lambda t, speed=speed: frames.encode(frames.JOINTS[1], 1.0 + speed * t + 0.01 * (t % 0.02), -1.0)  # noqa: E731
        ends.enter_context(Playing(channel, move))
    assert buses.moved(virtual(ends, *channels.values()), 20.0) == arm


def test_a_gripper_is_enough_and_nobody_is_nobody(ends):
    left, right = fresh_channel(), fresh_channel()
    ends.enter_context(Playing(right, lambda t: frames.encode(frames.GRIPPER, 0.02 * t, 1.0, 0)))
    both = virtual(ends, left, right)
    assert buses.moved(both, 20.0) == "right"
    assert buses.moved({"left": both["left"]}, 0.05) == ""


# --- the walk -----------------------------------------------------------------------------------------------------


def walk(options: Options) -> list[str]:
    return list(readiness.at_start(options, CONFIG))


@pytest.fixture
def links(monkeypatch) -> dict:
    """What `ip` says."""
    found = {"can_left": UP, "can_right": UP}
    monkeypatch.setattr(interfaces, "interfaces", lambda: found)
    return found


def test_simulation_and_other_buses_are_not_held_up():
    assert walk(Options(backend="mujoco")) == []
    assert walk(Options(can_backend="smp_vcan")) == []  # the driver waits for it, by name


def test_interfaces_come_first(links):
    del links["can_right"]
    with pytest.raises(OptionError, match="CAN interface can_right is not there; those here: can_left"):
        walk(Options())


def test_leaders_buses_are_looked_at_too(links):
    told = readiness.can_interfaces(Options())
    assert list(told) == ["can_left: up at 1000000 bit/s", "can_right: up at 1000000 bit/s"]
    with pytest.raises(OptionError, match="CAN interface can_leader_left is not there"):
        list(readiness.can_interfaces(Options(teleop=True)))


def test_then_the_arms_and_a_bus_that_does_not_open_is_one_sentence(links):
    with pytest.raises(OptionError, match="cannot open CAN channel 'can_left' with python-can interface 'socketcan'"):
        walk(Options())  # `ip` is made to say that it is there


def test_then_the_cameras(links, monkeypatch):
    monkeypatch.setattr(readiness, "arms", lambda options: "both arms answer")
    with pytest.raises(OptionError, match="cameras is usb, and no device is named for camera head"):
        walk(Options(cameras="usb"))
    assert walk(Options())[-1] == "both arms answer"


def program(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "piper_bringup.readiness", "--can-backend", "smp_vcan", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60.0, check=False)


def test_the_program_says_what_it_finds_and_refuses_in_one_sentence(ends):
    channels = {side: fresh_channel(side) for side in ("left", "right")}
    named = [word for side, channel in channels.items() for word in (f"--{side}-can", channel)]
    refused = program(*named)
    assert refused.returncode == 1 and refused.stderr.startswith("error: cannot open CAN channel")
    assert len(refused.stderr.splitlines()) == 1 and refused.stdout == ""
    ends.enter_context(Emulator(*((channel, EmulatedArm()) for channel in channels.values())))
    done = program(*named)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("left arm answers, firmware S-V")
    swapped = program("--left-can", "can_right", "--right-can", "can_left")
    assert swapped.stderr == "error: left_can is 'can_right' and right_can is 'can_left': the arms are swapped\n"
