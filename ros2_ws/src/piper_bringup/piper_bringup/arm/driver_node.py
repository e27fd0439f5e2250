"""Both arms on ROS 2: lifecycle node `piper_driver`. It only wires; the driver itself is `core.py`."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import replace
from queue import SimpleQueue

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from piper_bringup import parameters
from piper_bringup.arm import messages
from piper_bringup.arm.clock import Clock
from piper_bringup.arm.command_loop import CommandLoop
from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.core import Core, Tick
from piper_bringup.arm.piper import Arm
from piper_bringup.arm.realtime import real_time
from piper_bringup.arm.safety import Mode, Severity
from piper_bringup.arm.services_node import Services
from piper_bringup.arm.table import startup_table
from piper_bringup.arm.transport import udp_only
from piper_bringup.data import names
from piper_bringup.process import config_dir
from piper_bringup.spin_node import every, spin
from smp_msgs.msg import ArmStatus, SafetyEvent

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_EVENTS = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_SHUTDOWN_STEPS = {"hold": (), "park": ("park",), "park_and_disable": ("park", "disable")}
_FLOOD_PAUSE_S = 0.002  # gives the interpreter to the command thread while a flood is refused


class DriverNode(LifecycleNode):
    """Topics and services of the driver. Configure connects, activate starts the command loop."""

    def __init__(self) -> None:
        super().__init__(names.DRIVER_NODE)
        self.config = DriverConfig.from_parameters(parameters.load(self, DriverConfig.defaults()))
        self._core: Core | None = None
        self._loop: CommandLoop | None = None
        self._ticks: SimpleQueue[Tick | None] = SimpleQueue()  # None ends the publishing thread
        self._publishing = threading.Thread(target=self._publish_ticks, name="publish", daemon=True)
        self._newest: Tick | None = None
        self._service_node: Services | None = None
        self._said: tuple[Mode, bool] | None = None
        self._finished = False

    # --- lifecycle ------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make topics and services, and begin to open both buses."""
        config, clock = self.config, Clock()
        channels = {"left": config.arms__left__can_channel, "right": config.arms__right__can_channel}
        if len(set(channels.values())) < len(channels):
            self.get_logger().error(f"both arms are on CAN channel {channels['left']!r}: name two different ones")
            return TransitionCallbackReturn.FAILURE
        # Every thread of this process holds the interpreter at times: put aside meanwhile by somebody else's work, it
        # would keep the command thread waiting. So all get real-time priority, this one and the publishing one least.
        real_time(min(config.fifo_priority, 1), inherit=True)
        below = config.fifo_priority // 2
        times = (config.timeouts__reconnect_s, config.timeouts__reconnect_max_s, below)
        arms = {name: Arm(name, channel, config.can_backend, clock, *times) for name, channel in channels.items()}
        self._core = Core(config, arms, clock)
        self._loop = CommandLoop(self._core, self._ticks.put, self._tick_failed)
        self._make_topics()
        self._service_node = Services(self._core, self._is_ticking, below)
        for arm in arms.values():
            arm.start()
        self.get_logger().info("\n" + startup_table(config))
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the command loop. Nothing moves and nothing is enabled unless auto_enable says so (S16, S17)."""
        gc.collect()
        gc.freeze()  # what is here stays: looking through it again would stop the loop for tens of milliseconds
        self._loop.start()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """A command loop that was stopped is not started again: refuse, and say what to do instead."""
        self.get_logger().error("the driver cannot pause; use ~/hold, or shut it down (on_shutdown says how)")
        return TransitionCallbackReturn.FAILURE

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Two drivers on one bus would be the next thing: refuse."""
        self.get_logger().error("the driver cannot be cleaned up and configured again; shut it down and start it anew")
        return TransitionCallbackReturn.FAILURE

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave both arms as on_shutdown says."""
        self.finish()
        return TransitionCallbackReturn.SUCCESS

    def finish(self) -> int:
        """End as `on_shutdown` says (S18): hold where they stand, or park, or park and disable. Idempotent."""
        core = self._core
        if core is None or self._finished:
            return 0
        self._finished = True
        if self._newest is not None and (core.safety.powered or core.safety.mode == Mode.ENABLING):
            self._finish_step(core, "hold", True)
            for step in _SHUTDOWN_STEPS[self.config.on_shutdown]:
                self._finish_step(core, step)
        self._loop.stop()
        self._ticks.put(None)
        self._publishing.join(timeout=1.0)
        for arm in core.arms.values():
            arm.stop()
        self._service_node.close()
        self._service_node.destroy_node()
        held = ", ".join(f"{n}: {'under power' if f.enabled.any() else 'no power'}" for n, f in core.feedback.items())
        self.get_logger().info(f"driver ended; arms keep their last target ({held or 'never connected'})")
        return 0

    def _is_ticking(self) -> bool:
        return self._loop is not None and self._loop.is_running

    def _finish_step(self, core: Core, step: str, argument: object = None) -> None:
        request = core.ask(step, argument)
        give_up_ns = time.monotonic_ns() + int((self.config.timeouts__park_s + 2.0) * 1e9)
        while request.result is None and time.monotonic_ns() < give_up_ns:
            time.sleep(0.01)
        self.get_logger().info(f"shutdown, {step}: {request.result[1] if request.result else 'no answer'}")

    # --- wiring ---------------------------------------------------------------------------------------------

    def _make_topics(self) -> None:
        self._joint_states = self.create_publisher(JointState, names.TOPIC_JOINT_STATES, 10)
        self._commands = {a: self.create_publisher(JointState, names.joint_command_topic(a), 10) for a in names.ARMS}
        self._status = {a: self.create_publisher(ArmStatus, names.arm_status_topic(a), _LATCHED) for a in names.ARMS}
        self._events = self.create_publisher(SafetyEvent, names.TOPIC_SAFETY_EVENT, _EVENTS)
        self._estop_state = self.create_publisher(Bool, names.TOPIC_ESTOP_STATE, _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, names.TOPIC_DIAGNOSTICS, 10)
        # Raw: a flood, or what is far too long, is refused before the interpreter is held up by unpacking it.
        self.create_subscription(JointTrajectory, names.TOPIC_ACTION_CHUNK, self._on_chunk, 1, raw=True)
        self._publishing.start()
        every(self, 0.1, self._publish_status)
        every(self, 1.0, self._publish_diagnostics)

    def _on_chunk(self, packed: bytes) -> None:
        if self._finished:
            return
        if not self._core.intake.admit():
            time.sleep(_FLOOD_PAUSE_S)
            return
        self._count_commanders()
        self._core.intake.offer(messages.unpack_chunk(packed))

    def _count_commanders(self) -> None:
        found = self.get_publishers_info_by_topic(names.TOPIC_ACTION_CHUNK)
        who = sorted(f"{i.node_namespace.rstrip('/')}/{i.node_name}" for i in found)
        self._core.intake.commanders = tuple(who)

    # --- publishing -------------------------------------------------------------------------------------------

    def _publish_ticks(self) -> None:
        """On a thread of its own: at 100 Hz the executor costs more than what it executes."""
        while (tick := self._ticks.get()) is not None:
            self._newest = tick
            try:
                self._publish_tick(tick)
            except Exception as error:  # one message that cannot be made must not silence all later events
                text = f"not published: {type(error).__name__}: {error}"
                self.get_logger().error(text, throttle_duration_sec=1.0)

    def _publish_tick(self, tick: Tick) -> None:
        self._publish_events()
        if tick.live:
            self._joint_states.publish(messages.joint_state(tick))
        if tick.command is not None:
            for arm, publisher in self._commands.items():
                publisher.publish(messages.joint_command(tick, arm))

    def _publish_events(self) -> None:
        offset_ns = self._newest.wall_ns - self._newest.mono_ns
        for event in self._core.safety.drain():
            self._events.publish(messages.safety_event(event, offset_ns))
            where = f" [{event.arm}]" if event.arm else ""
            self._log(event.severity, f"{event.reason}{where} -> {event.mode.name}: {event.text}")
        state = (self._core.safety.mode, self._core.safety.mode == Mode.ESTOP)
        if state != self._said:
            if self._said is None or state[1] != self._said[1]:
                self._estop_state.publish(Bool(data=state[1]))
            self._said = state
            self._publish_status()

    def _log(self, severity: Severity, text: str) -> None:
        if severity == Severity.INFO:  # rclpy refuses a line of code that logs at two levels
            self.get_logger().info(text)
        elif severity == Severity.WARN:
            self.get_logger().warning(text)
        else:
            self.get_logger().error(text)

    def _publish_status(self) -> None:
        if self._newest is None:
            return
        self._count_commanders()
        for arm, publisher in self._status.items():
            publisher.publish(messages.arm_status(self._core, self._newest, arm, self._loop.lateness_ms()))

    def _publish_diagnostics(self) -> None:
        if self._newest is not None:
            late_ms = self._loop.lateness_ms()
            self._diagnostics.publish(messages.diagnostics(self._core, self._newest, late_ms, self._loop.scheduler))

    def _tick_failed(self, error: Exception) -> None:
        text = f"tick failed, arms held: {type(error).__name__}: {error}"
        self.get_logger().error(text, throttle_duration_sec=1.0)
        if self._newest is not None:  # a failed tick has no state, but its event is to be said
            self._ticks.put(replace(self._newest, mode=self._core.safety.mode, live=False, command=None))


def main() -> None:
    """Run until Ctrl-C; the arms are left as on_shutdown says."""
    # The default of 5 ms keeps the command thread waiting; below 1 ms, switching itself costs a fifth of a core.
    sys.setswitchinterval(0.001)
    udp_only(os.environ, get_rmw_implementation_identifier(), config_dir())
    spin(DriverNode)


if __name__ == "__main__":
    main()
