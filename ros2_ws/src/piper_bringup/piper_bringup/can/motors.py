"""Power and errors of an emulated arm's seven drives: enable with latency, latched errors, reset."""

from __future__ import annotations

from collections.abc import Iterable

from piper_bringup.can.faults import Faults
from piper_bringup.can.frames import Bit

ENABLE_LATENCY_S = 0.02  # from the command to torque [assumption]
GRIPPER = 6  # index of the gripper's drive; joints are 0..5
ALL = (7, 0xFF)  # motor numbers that mean every joint and the gripper


class Motors:
    """Which drives have torque, and what is wrong with them."""

    def __init__(self) -> None:
        self.enabled = [False] * 7
        self._due_s: list[float | None] = [None] * 7  # time at which an accepted enable takes effect
        self._needs_second = [False] * 7  # after a reset the first enable only wakes the drive
        self._latched = [0] * 6
        self._faults = Faults()  # those latched last

    def command(self, number: int, on: bool, now_s: float, refused: frozenset[int]) -> None:
        """0x471 for motor `number` 1..6, or 7 and 0xFF for everything."""
        for index in _indices(number):
            if not on:
                self.switch_off((index,))
            elif index + 1 in refused or self.enabled[index]:
                continue
            elif self._needs_second[index]:
                self._needs_second[index] = False
            elif self._due_s[index] is None:
                self._due_s[index] = now_s + ENABLE_LATENCY_S

    def enable_gripper(self, now_s: float, refused: frozenset[int]) -> None:
        """The enable code of 0x159."""
        if not self.enabled[GRIPPER] and self._due_s[GRIPPER] is None and GRIPPER + 1 not in refused:
            self._due_s[GRIPPER] = now_s + ENABLE_LATENCY_S

    def switch_off(self, indices: Iterable[int] = range(7)) -> None:
        """Torque off now."""
        for index in indices:
            self.enabled[index] = False
            self._due_s[index] = None

    def reset(self, faults: Faults) -> None:
        """0x150 = 2: torque off, errors cleared; every drive then wants two enable commands."""
        self.switch_off()
        self._needs_second = [True] * 6 + [False]
        self.clear_errors(range(6), faults)

    def advance(self, now_s: float) -> list[int]:
        """Indices of the drives that came on."""
        came_on = [i for i, due in enumerate(self._due_s) if due is not None and now_s >= due]
        for index in came_on:
            self.enabled[index] = True
            self._due_s[index] = None
        return came_on

    def latch(self, faults: Faults) -> None:
        """Takes note of the errors present now."""
        if faults is self._faults:
            return
        self._faults = faults
        for index in range(6):
            self._latched[index] |= _error_bits(index + 1, faults)

    def clear_errors(self, indices: Iterable[int], faults: Faults) -> None:
        """Forgets errors whose cause is gone."""
        for index in indices:
            self._latched[index] = _error_bits(index + 1, faults)

    @property
    def errors(self) -> tuple[int, ...]:
        """Error bits of the six joints' drives."""
        return tuple(self._latched)

    def bits(self, index: int) -> int:
        """Byte 5 of 0x261-0x266."""
        return self._latched[index] | (self.enabled[index] << Bit.ENABLED)


def _indices(number: int) -> Iterable[int]:
    if number in ALL:
        return range(7)
    return (number - 1,) if 1 <= number <= 6 else ()


def _error_bits(number: int, faults: Faults) -> int:
    return (
        (number in faults.collision) << Bit.COLLISION
        | (number in faults.stall) << Bit.STALL
        | (number in faults.over_temperature) << Bit.MOTOR_HOT
        | faults.low_voltage << Bit.LOW_VOLTAGE
        | faults.driver_bits & ~(1 << Bit.ENABLED)
    )
