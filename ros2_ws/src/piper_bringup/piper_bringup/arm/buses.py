"""Both arms on the wire, before a driver is there: do two different arms answer, and which of them is being moved?

Nothing is sent but the question for the firmware, which moves nothing. Buses are python-can's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import can
import numpy as np

from piper_bringup.arm.link import FEEDBACK_IDS, FIRMWARE_ID, FIRMWARE_TEXT, LEADER_IDS, why_not
from piper_bringup.can import frames

Buses = Mapping[str, can.BusABC]  # arm -> its bus
LISTEN_S = 0.5
MOVED_RAD, MOVED_M = 0.1, 0.01  # by a hand, not by noise
_QUESTION = bytes([1, 0, 0, 0, 0, 0, 0, 0])
_BUS_ERRORS = (can.CanError, can.CanInterfaceNotImplementedError, OSError, ValueError, ImportError)


class BusError(ConnectionError):
    """The arms are not as they should be; the text says what was found, in one sentence."""


@dataclass
class _Heard:
    ids: set[int] = field(default_factory=set)
    firmware: bytearray = field(default_factory=bytearray)
    question: bool = False  # one that was asked on another bus


def opened(channels: Mapping[str, str], backend: str, stack: ExitStack) -> Buses:
    """Arm -> its bus, which `stack` closes. Raises BusError."""
    found = {}
    for arm, channel in channels.items():
        try:
            found[arm] = can.Bus(interface=backend, channel=channel)
        except _BUS_ERRORS as error:
            raise BusError(why_not(channel, backend)) from error
        stack.callback(found[arm].shutdown)
    return found


def ask(buses: Buses, seconds: float = LISTEN_S) -> dict[str, str]:
    """Arm -> its firmware's version. Raises BusError: nothing answers, a leader does, or both are the same bus."""
    crossed, told = [], {}
    for arm, bus in buses.items():
        heard = {name: _Heard() for name in buses}
        try:
            bus.send(can.Message(arbitration_id=FIRMWARE_ID, data=_QUESTION, is_extended_id=False))
            _listen(buses, seconds, lambda name, message, heard=heard: _hear(heard[name], message))
        except can.CanError as error:
            raise BusError(f"the {arm} arm's bus fails: {error}; is the arm switched on, and plugged in?") from error
        crossed += [name for name in buses if name != arm and (heard[name].question or heard[name].firmware)]
        told[arm] = heard[arm]
    if set(crossed) == set(buses):
        raise BusError("both CAN interfaces are on the same bus, with one arm or two: each arm needs its own adapter")
    return {arm: _version(arm, heard) for arm, heard in told.items()}


def moved(buses: Buses, seconds: float) -> str:
    """The arm that somebody moves by hand, a joint or the gripper; empty: none within this time. Raises BusError."""
    first: dict[tuple[str, int], np.ndarray] = {}
    found: list[str] = []

    def look(arm: str, message: can.Message) -> bool:
        frame_id = message.arbitration_id
        if frame_id not in (*frames.JOINTS, frames.GRIPPER):
            return False
        limit = MOVED_M if frame_id == frames.GRIPPER else MOVED_RAD
        now = np.array(frames.decode(frame_id, bytes(message.data)))[: 1 if frame_id == frames.GRIPPER else None]
        before = first.setdefault((arm, frame_id), now)
        found.extend([arm] * bool(np.abs(now - before).max() > limit))
        return bool(found)

    try:
        _listen(buses, seconds, look)
    except can.CanError as error:
        raise BusError(f"a bus fails: {error}") from error
    return found[0] if found else ""


def _listen(buses: Buses, seconds: float, take: Callable[[str, can.Message], object]) -> None:
    """Hand every frame to take(arm, message), until it says that it has what it wants."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for arm, bus in buses.items():
            message = bus.recv(timeout=0.001)
            for _ in range(100):  # the other bus is not to wait for ever
                if message is None:
                    break
                if take(arm, message) is True:
                    return
                message = bus.recv(timeout=0.0)


def _hear(heard: _Heard, message: can.Message) -> None:
    heard.ids.add(message.arbitration_id)
    if message.arbitration_id == FIRMWARE_ID:
        asked = bytes(message.data) == _QUESTION
        heard.question |= asked
        heard.firmware += b"" if asked else bytes(message.data)


def _version(arm: str, heard: _Heard) -> str:
    if heard.ids & set(LEADER_IDS) and not heard.ids & set(FEEDBACK_IDS):
        raise BusError(f"the {arm} arm is set as a leader: it commands, and can be commanded by nobody")
    found = FIRMWARE_TEXT.search(bytes(heard.firmware))
    if found is None and not heard.ids:
        raise BusError(f"nothing is heard from the {arm} arm: is it switched on, and plugged in?")
    if found is None:
        raise BusError(f"the {arm} arm is heard, but does not tell its firmware; switch it off and on again")
    return found.group().decode()
