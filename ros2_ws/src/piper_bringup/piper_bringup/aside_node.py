"""A node that is served beside the one whose process it is in: its callbacks may wait, the others' must not.

The driver's services have a thread of their own kind (`arm/services_node.py`), in real time and through every failure.
"""

from __future__ import annotations

import threading

from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.node import Node

_WAKE_S = 0.5
_LEAVE_S = 1.0


class Aside:
    """Serves `node` in `threads` threads of its own, from now until `close`."""

    def __init__(self, node: Node, threads: int) -> None:
        self._closed = False
        self._executor = MultiThreadedExecutor(threads)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._serve, name="desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more. Callbacks that still run are waited for, but not for long."""
        self._closed = True
        self._executor.shutdown(timeout_sec=_LEAVE_S)
        self._thread.join(timeout=_LEAVE_S)

    def _serve(self) -> None:
        while not self._closed:
            try:
                self._executor.spin_once(timeout_sec=_WAKE_S)
            except (ExternalShutdownException, ShutdownException):
                return
