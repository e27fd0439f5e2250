"""The driver's services, on threads of their own.

A request is answered when the arms confirm, which may take seconds, while an emergency stop must not wait for any
other. One executor thread cannot do both: rclpy 7.1.6 starves timers while a coroutine callback is pending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from piper_bringup.arm.core import Core
from piper_bringup.arm.realtime import real_time
from piper_bringup.data import names
from smp_msgs.srv import ResetEstop, SetSpeed

_THREADS = 4  # park, enable, and still one for hold and one for estop
_POLL_S = 0.002
_WAKE_S = 0.5
_PATIENCE_S = 60.0  # longer than the slowest park
TRIGGERS = ("hold", "estop", "park", "clear_errors")


class Services(Node):
    """Node `piper_driver_services` with services `/piper_driver/*`."""

    def __init__(self, core: Core, is_ticking: Callable[[], bool], priority: int) -> None:
        super().__init__(f"{names.DRIVER_NODE}_services", use_global_arguments=False)  # __node:= is not for it
        self._core, self._is_ticking, self._priority = core, is_ticking, priority
        self._closed = False
        group = ReentrantCallbackGroup()
        self._add(SetBool, "enable", self._enable, group)
        for name in TRIGGERS:
            self._add(Trigger, name, self._trigger(name), group)
        self._add(ResetEstop, "reset_estop", self._reset_estop, group)
        self._add(SetSpeed, "set_speed", self._set_speed, group)
        self._executor = MultiThreadedExecutor(_THREADS)
        self._executor.add_node(self)
        self._thread = threading.Thread(target=self._spin, name="services", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=1.0)

    def _add(self, kind: type, name: str, callback: Callable, group: ReentrantCallbackGroup) -> None:
        self.create_service(kind, f"/{names.DRIVER_NODE}/{name}", callback, callback_group=group)

    def _spin(self) -> None:
        real_time(self._priority, inherit=True)  # the executor's pool serves
        while not self._closed:
            try:
                self._executor.spin_once(timeout_sec=_WAKE_S)
            except (ExternalShutdownException, ShutdownException):
                return
            except Exception as error:  # the emergency stop's thread outlives any other service's failure
                self.get_logger().error(f"a service failed: {type(error).__name__}: {error}")

    def _ask(self, name: str, argument: object = None) -> tuple[bool, str]:
        if not self._is_ticking() and name != "estop":
            return False, "the driver is not active: activate it first"
        request = self._core.ask(name, argument)
        give_up = time.monotonic() + _PATIENCE_S
        while request.result is None:
            time.sleep(_POLL_S)
            if time.monotonic() > give_up:
                return False, f"no answer from the command loop in {_PATIENCE_S:.0f} s"
            if not self._is_ticking():
                return False, "sent, but the command loop is not running: nothing confirms it"
        return request.result

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = self._ask("enable" if request.data else "disable")
        return response

    def _trigger(self, name: str) -> Callable:
        def serve(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            response.success, response.message = self._ask(name)
            return response

        return serve

    def _reset_estop(self, request: ResetEstop.Request, response: ResetEstop.Response) -> ResetEstop.Response:
        response.success, response.message = self._ask("reset_estop", request.confirm_arm_may_drop)
        return response

    def _set_speed(self, request: SetSpeed.Request, response: SetSpeed.Response) -> SetSpeed.Response:
        response.success, response.message = self._ask("set_speed", request.speed_percent)
        response.speed_percent = self._core.motion.speed_percent
        return response
