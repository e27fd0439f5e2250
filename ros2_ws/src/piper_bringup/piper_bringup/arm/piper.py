"""One PiPER through the unmodified piper_sdk: one thread that opens its bus and sends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from piper_sdk import C_PiperInterface_V2

from piper_bringup.arm.clock import Clock
from piper_bringup.arm.feedback import MDEG, Feedback, Sending, Vector, read
from piper_bringup.arm.link import SILENCE_NS, Link, LinkError
from piper_bringup.arm.realtime import real_time

CTRL_CAN, MOVE_J, POSITION_VELOCITY = 0x01, 0x01, 0x00
GRIPPER_ENABLE = 0x01
_MODE_REFRESH_NS = 500_000_000  # S20: on change and at 2 Hz
_ASK_NS = 50_000_000


class Arm:
    """One arm. Its thread opens the bus, sends, notices silence and reopens with back-off; nobody else sends."""

    def __init__(
        self,
        name: str,
        channel: str,
        backend: str,
        clock: Clock,
        reconnect_s: float,
        reconnect_max_s: float,
        priority: int = 0,
    ) -> None:
        self.name = name
        self.link = Link(channel, backend, clock)
        self._clock = clock
        self._back_off = (reconnect_s, reconnect_max_s)
        self._priority = priority
        self._wake = threading.Condition()
        self._urgent: deque[Callable[[], None]] = deque()
        self._set_point: tuple[tuple[int, ...], int, int, int] | None = None
        self._stopping = False
        self._stopped = False  # by an emergency stop: until the reset nothing else is sent
        self._sending = Sending()
        self._opened_ns = 0
        self._mode_sent: tuple[int, int] = (-1, 0)  # speed percent, monotonic time
        self._asked_ns = 0
        self._thread = threading.Thread(target=self._run, name=f"send-{name}", daemon=True)

    def start(self) -> None:
        """Begin to open the bus; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, close the bus, end the thread. The arm keeps its last target."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=3.0)

    def set_point(self, q_rad: Vector, gripper_m: float, effort_nm: float, speed_percent: float) -> None:
        """Replace the set-point to be sent next. The last gate before the bus: raises ValueError, sends nothing."""
        values = np.append(q_rad, [gripper_m, effort_nm, speed_percent])
        if values.shape != (9,) or not np.all(np.isfinite(values)):
            raise ValueError(f"{self.name}: set-point is not six finite joints and a gripper: {values}")
        if np.any(np.abs(q_rad) > np.pi) or not 0 <= gripper_m <= 0.15 or not 0 <= effort_nm <= 5:
            raise ValueError(f"{self.name}: set-point outside anything a PiPER can do: {values}")
        mdeg = tuple(int(v) for v in np.rint(q_rad * MDEG))
        with self._wake:
            if not self._stopped:
                self._set_point = (mdeg, round(gripper_m * 1e6), round(effort_nm * 1e3), round(speed_percent))
                self._wake.notify()

    def enable_joint(self, number: int) -> None:
        """Power one joint, 1..6 (never 7: that closes the gripper)."""
        self._do(lambda: self.link.sdk.EnableArm(number))

    def disable(self) -> None:
        """Take the power from all joints, singly: the arm drops. The gripper stays as it is."""
        self._drop_set_point()
        for number in range(1, 7):
            self._do(lambda number=number: self.link.sdk.DisableArm(number))

    def estop(self) -> None:
        """0x150 = 1: the arm sinks damped and ignores commands. The next frame on the bus, whatever was waiting."""
        with self._wake:
            self._stopped, self._set_point = True, None
            self._urgent.clear()
        self._do(lambda: self.link.sdk.EmergencyStop(0x01))

    def reset(self) -> None:
        """0x150 = 2: leaves the emergency stop; the arm loses power at once and drops."""
        with self._wake:
            self._stopped, self._set_point = False, None
        self._do(lambda: self.link.sdk.EmergencyStop(0x02))

    def idle(self) -> bool:
        """Whether everything handed over has been sent or dropped."""
        with self._wake:
            return not self._urgent and self._set_point is None and self._sending.since_ns == 0

    def feedback(self) -> Feedback:
        """What the arm said last."""
        return read(self.link, self._sending, self._clock)

    def _do(self, job: Callable[[], None]) -> None:
        with self._wake:
            self._urgent.append(job)
            self._wake.notify()

    def _drop_set_point(self) -> None:
        with self._wake:
            self._set_point = None

    def _run(self) -> None:
        """The only thread that touches the sending side of this arm's bus; nothing but ``stop`` ends it."""
        real_time(self._priority)
        while True:
            try:
                return self._serve()
            except Exception as error:  # closed and opened again, which the driver sees as a lost bus
                self._sending.error = f"{self.name}: {type(error).__name__}: {error}"
                self._sending.since_ns = 0
                self.link.close()

    def _serve(self) -> None:
        wait_s, next_try_ns = self._back_off[0], 0
        while True:
            if not self.link.is_open:
                if self._clock.mono_ns() >= next_try_ns:
                    if self._try_open():
                        continue
                    next_try_ns = self._clock.mono_ns() + int(wait_s * 1e9)
                    wait_s = min(2 * wait_s, self._back_off[1])
            elif self._lost():
                self.link.close()
                self._sending.reconnects += 1
                next_try_ns = self._clock.mono_ns() + int(wait_s * 1e9)
                wait_s = min(2 * wait_s, self._back_off[1])
            elif self.link.arrived_ns:
                wait_s = self._back_off[0]
            job = self._next_job()
            if job is None and self._stopping:
                break
            if job is not None and self.link.is_open:
                job()
            self._sending.since_ns = 0
            if self.link.is_open:
                self._ask_what_is_unknown()
        if self.link.is_open:
            self.link.close()

    def _try_open(self) -> bool:
        # The SDK starts its reader here, and a thread inherits priority; below ours, so that sending goes first.
        real_time(self._priority // 2, inherit=True)
        try:
            self.link.open()
        except LinkError as error:
            self._sending.error = str(error)
            return False
        finally:
            real_time(self._priority)
        self._sending.error, self._opened_ns = "", self._clock.mono_ns()
        self._mode_sent = (-1, 0)
        return True

    def _lost(self) -> bool:
        """Whether only opening the bus again can help: it failed, or nothing at all has come for a second."""
        newest = max(self.link.arrived_ns.copy().values(), default=0)
        return self.link.read_failed or self._clock.mono_ns() - max(newest, self._opened_ns) > SILENCE_NS

    def _next_job(self) -> Callable[[], None] | None:
        with self._wake:
            if not self._urgent and self._set_point is None and not self._stopping:
                self._wake.wait(timeout=0.02)
            job: Callable[[], None] | None = None
            if self._urgent:
                job = self._urgent.popleft()
            elif self._set_point is not None:
                set_point, self._set_point = self._set_point, None
                job = lambda: self._send(*set_point)  # noqa: E731
            if job is not None:
                self._sending.since_ns = self._clock.mono_ns()
            return job

    def _send(self, mdeg: tuple[int, ...], gripper_um: int, effort_mnm: int, speed_percent: int) -> None:
        sdk: C_PiperInterface_V2 = self.link.sdk
        now_ns = self._clock.mono_ns()
        if self._mode_sent[0] != speed_percent or now_ns - self._mode_sent[1] >= _MODE_REFRESH_NS:
            sdk.ModeCtrl(CTRL_CAN, MOVE_J, speed_percent, POSITION_VELOCITY)
            self._mode_sent = (speed_percent, now_ns)
        sdk.JointCtrl(*mdeg)
        sdk.GripperCtrl(gripper_um, effort_mnm, GRIPPER_ENABLE, 0)

    def _ask_what_is_unknown(self) -> None:
        """One question at a time, until the firmware and all six motors have answered."""
        now_ns = self._clock.mono_ns()
        if now_ns - self._asked_ns < _ASK_NS:
            return
        missing = [i for i in range(1, 7) if i not in self.link.motor_limits]
        if missing:
            self._asked_ns = now_ns
            self.link.sdk.SearchMotorMaxAngleSpdAccLimit(missing[0], 0x01)
        elif not self.link.firmware:
            self._asked_ns = now_ns + 5 * _ASK_NS  # its answer comes in several frames
            self.link.ask_firmware()
