"""The bus of one arm as piper_sdk opens it, watched: what arrives, what fails, and why it does not open.

piper_sdk 0.6.2 is used unmodified but keeps its failures to itself: sends return nothing, a lost bus stays
"connected" while its reader spins, and getters return zeros before the first frame (HARDWARE §0.6). Three hooks on
its public CAN object tell: the frame callback, the read call and the send call.
"""

from __future__ import annotations

import re
import time

import can
from piper_sdk import C_PiperInterface_V2

from piper_bringup.arm.clock import Clock

BITRATE = 1_000_000
MOTOR_LIMIT_ID = 0x473
FIRMWARE_ID = 0x4AF
MOTOR_SPEED_IDS = range(0x251, 0x257)
END_POSE_IDS = range(0x2A2, 0x2A5)
FEEDBACK_IDS = range(0x2A1, 0x2A9)
LEADER_IDS = range(0x155, 0x158)  # joint commands: on the wire from others only while an arm is a leader
SILENCE_NS = 1_000_000_000  # nothing heard for as long: the bus is closed and opened again
_STATES = frozenset((*MOTOR_SPEED_IDS, *range(0x261, 0x267), *FEEDBACK_IDS))  # each frame alone says all of its state
FIRMWARE_TEXT = re.compile(rb"S-V\d+\.\d+-\d+")


class LinkError(ConnectionError):
    """The bus cannot be opened; the text says why."""


class Link:
    """One arm's bus. ``open``, ``close`` and every send belong to one thread; the counters may be read by any."""

    def __init__(self, channel: str, backend: str, clock: Clock) -> None:
        self.channel, self.backend, self._clock = channel, backend, clock
        self.is_open = False
        self.read_failed = False
        self.frames = 0  # received since the link was made
        self.arrived_ns: dict[int, int] = {}  # frame id -> monotonic time of its newest arrival
        self.stamp_ns: dict[int, int] = {}  # frame id -> its newest CAN time (system clock)
        self.motor_limits: dict[int, tuple[float, float, int]] = {}  # motor -> (min, max [0.1 deg], speed, raw)
        self.send_failures = 0  # in a row
        self.send_failures_total = 0
        self._firmware = bytearray()
        self._parsed: dict[int, bytes] = {}  # frame id -> data of it that the SDK has read last
        self._put_off: set[int] = set()  # motor speeds that were passed over once
        # A singleton per channel inside the SDK; its own limits stay off, they turn NaN into motion.
        self.sdk = C_PiperInterface_V2(channel, judge_flag=False, can_auto_init=False)

    @property
    def firmware(self) -> str:
        """Version text, whole (GetPiperFirmwareVersion cuts S-V1.8-10 to S-V1.8-1); empty until answered."""
        found = FIRMWARE_TEXT.search(bytes(self._firmware))
        return found.group().decode() if found else ""

    def ask_firmware(self) -> None:
        """Send the version query; the answer shows in ``firmware``."""
        self._firmware.clear()
        self.sdk.SearchPiperFirmwareVersion()

    def open(self) -> None:
        """Open the bus and start reading. Raises LinkError."""
        self._forget()
        try:
            self.sdk.CreateCanBus(self.channel, bustype=self.backend, expected_bitrate=BITRATE, judge_flag=False)
            bus = self.sdk.GetCanBus()
            opened = bus.recv_bus is not None and bus.send_bus is not None
        except ConnectionError:
            opened = False
        if not opened:
            raise LinkError(why_not(self.channel, self.backend))
        self._hook(bus)
        # piper_init would send its queries from here without anyone looking at their status.
        self.sdk.ConnectPort(can_init=False, piper_init=False)
        self.is_open = True

    def close(self) -> None:
        """Stop reading and close the bus; the arm keeps its last target."""
        self.is_open = False
        self.sdk.DisconnectPort()

    def _forget(self) -> None:
        """What an earlier connection heard says nothing about this one."""
        self.read_failed = False
        self.send_failures = 0
        self.arrived_ns = {}
        self.stamp_ns, self.motor_limits = {}, {}
        self._firmware = bytearray()
        self._parsed, self._put_off = {}, set()

    def _hook(self, bus) -> None:
        parse, read, send = self.sdk.ParseCANFrame, bus.ReadCanMessage, bus.SendCanMessage
        status = bus.CAN_STATUS

        def on_frame(message: can.Message) -> None:
            if not _is_piper(message):
                return
            if self._is_news(message.arbitration_id, message.data):
                parse(message)
            self._heard(message)

        def watched_read():
            result = read()
            if result not in (status.READ_CAN_MSG_OK, status.READ_CAN_MSG_TIMEOUT):
                self.read_failed = True
                time.sleep(0.01)  # the SDK retries at once: without this a dead bus takes a whole core
            return result

        def watched_send(*args, **kwargs):
            result = send(*args, **kwargs)
            failed = result is not status.SEND_MESSAGE_SUCCESS
            self.send_failures = self.send_failures + 1 if failed else 0
            self.send_failures_total += failed
            return result

        bus.callback_function, bus.ReadCanMessage, bus.SendCanMessage = on_frame, watched_read, watched_send

    def _is_news(self, frame_id: int, data: bytearray) -> bool:
        """Whether the SDK shall parse this frame. Its parser is most of the driver's CPU time, so it is spared what it
        has read already, the end pose, and every other new motor speed: they come at 200 Hz, we look at 100 Hz."""
        before = self._parsed.get(frame_id)
        if frame_id in END_POSE_IDS or before == data:
            return False
        if before is not None and frame_id in MOTOR_SPEED_IDS and frame_id not in self._put_off:
            self._put_off.add(frame_id)
            return False
        self._put_off.discard(frame_id)
        if frame_id in _STATES:
            self._parsed[frame_id] = bytes(data)  # a bus may use its buffer again
        return True

    def _heard(self, message: can.Message) -> None:
        """Runs in the SDK's reader thread, after the SDK has parsed the frame."""
        frame_id = message.arbitration_id
        self.frames += 1
        self.stamp_ns[frame_id] = round(message.timestamp * 1e9)  # before the arrival that makes it count
        self.arrived_ns[frame_id] = self._clock.mono_ns()
        if frame_id == MOTOR_LIMIT_ID:
            # One motor at a time: GetAllMotorAngleLimitMaxSpd() gives the last motor's answer for all six.
            limit = self.sdk.GetCurrentMotorAngleLimitMaxVel().current_motor_angle_limit_max_vel
            self.motor_limits[limit.motor_num] = (
                limit.min_angle_limit,
                limit.max_angle_limit,
                limit.max_joint_spd,
            )
        elif frame_id == FIRMWARE_ID:
            self._firmware += message.data


def _is_piper(message: can.Message) -> bool:
    """Whether an arm can have sent it. The SDK looks at the identifier alone and reads what is missing as zero."""
    if message.is_extended_id or message.is_remote_frame or message.is_error_frame:
        return False
    return message.arbitration_id not in _STATES or len(message.data) == 8


def why_not(channel: str, backend: str) -> str:
    """The reason for which a bus does not open, in python-can's words; the SDK drops them."""
    try:
        can.Bus(interface=backend, channel=channel, bitrate=BITRATE).shutdown()
    except (can.CanError, can.CanInterfaceNotImplementedError, OSError, ValueError, ImportError) as error:
        hint = ""
        if backend == "socketcan":
            hint = f" (is the adapter plugged in, named, and up? try: ip -details link show {channel})"
        return f"cannot open CAN channel {channel!r} with python-can interface {backend!r}: {error}{hint}"
    return f"cannot open CAN channel {channel!r} with python-can interface {backend!r}: it opened a moment later"
