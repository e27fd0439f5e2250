"""What becomes of requests, tick by tick: one operation at a time, and who asked for it gets an answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from piper_bringup.arm.gauges import Stretch
from piper_bringup.arm.operations import OPERATIONS
from piper_bringup.arm.request import Request
from piper_bringup.arm.safety import Mode

if TYPE_CHECKING:
    from piper_bringup.arm.core import Core


class Serving:
    """`take` may be called by any thread; `serve` works on what waits, and enables once by itself where configured."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.operation: Request | None = None
        self.auto_enable = core.config.auto_enable
        self._disabled = Stretch()
        self._requests: deque[Request] = deque()

    def take(self, request: Request) -> None:
        """Its ``result`` is set by a later tick."""
        self._requests.append(request)

    def serve(self) -> None:
        """Start what was asked for, go on with what takes longer."""
        if self._may_auto_enable():
            self.auto_enable = False
            self._requests.append(Request("enable"))
        while self._requests:
            request = self._requests.popleft()
            if self.operation is not None:
                if not request.interrupts(self.operation):
                    request.result = (False, f"busy with {self.operation.name}")
                    continue
                self.end(f"interrupted by {request.name}")
            request.started_ns = self._core.now_ns
            self.operation = request
            self._work()
        self._work()

    def end(self, text: str) -> None:
        """Answer whoever asked, if anybody did: it did not come off."""
        if self.operation is not None:
            self.operation.result = (False, text)
            self.operation = None

    def _may_auto_enable(self) -> bool:
        """Once, when both arms have said what enabling wants to know, or have had the time to."""
        core = self._core
        disabled_ns = self._disabled.lasted_ns(core.safety.mode == Mode.DISABLED, core.now_ns)
        answered = all(fb.limits is not None and fb.firmware for fb in core.feedback.values())
        patience_ns = core.config.timeouts__enable_s * 1e9
        return self.auto_enable and core.safety.mode == Mode.DISABLED and (answered or disabled_ns > patience_ns)

    def _work(self) -> None:
        request = self.operation
        if request is not None:
            try:
                result = OPERATIONS[request.name](self._core, request)
            except Exception as error:  # answered whatever happens: nobody waits for ever for an e-stop's thread
                request.result, self.operation = (False, f"{type(error).__name__}: {error}"), None
                raise
            if result is not None and request.result is None:
                request.result, self.operation = result, None
