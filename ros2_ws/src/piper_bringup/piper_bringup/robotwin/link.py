"""Our end of a worker: starts it in the user's RoboTwin environment, asks it, and says in one error what went wrong.

    with Link(python, root) as link:
        about = link.start()
        episode = link.call("reset", 600.0, task="stack_blocks_two", task_config="demo_clean", seed=100000)
        answer = link.call("step", 60.0, action=action, cameras=["head_camera"])

Commands, their arguments and their answers are documented in `commands.py`. Any thread may call; calls wait for each
other, and `close` does not wait for them. A worker never outlives its link, nor our process, and leaves no socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from piper_bringup.robotwin import protocol
from piper_bringup.robotwin.child import Child, interpreter
from piper_bringup.robotwin.lost import (
    WorkerBabbled,
    WorkerDied,
    WorkerHung,
    WorkerLost,
    WorkerRaised,
    ended,
    quoted,
)

START_S = 60.0  # Python's start and its imports of numpy and msgpack, on a busy disk
CLOSE_S = 5.0
DYING_S = 1.0  # between the end of a connection and the end of its process
WORKER = Path(__file__).with_name("worker.py")


class Link:
    """A worker for the RoboTwin checkout `root`, run by `python` of the environment that RoboTwin is installed in.

    `worker_arguments` go to worker.py as they are: --shader default, --planner mplib. `worker`: another program that
    speaks the protocol, in place of worker.py. Nothing is started before `start`.
    """

    def __init__(self, python: str, root: Path | str, *worker_arguments: str, worker: Path | None = None) -> None:
        self._python, self._root, self._arguments = interpreter(python), Path(root).absolute(), worker_arguments
        self._worker = worker or WORKER
        self._calling = threading.Lock()
        self._child: Child | None = None
        self._sock: socket.socket | None = None
        self._closing = False

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether a worker is there to be called."""
        return self._sock is not None and self._child is not None and not self._child.ended()

    def start(self, timeout_s: float = START_S) -> dict[str, Any]:
        """Start a worker, in place of the one before if there is one; its answer to hello.

        Raises WorkerLost (WorkerDied, WorkerHung) where none comes, WorkerRaised for a root that is no checkout.
        """
        deadline_s = time.monotonic() + timeout_s
        self.close()
        try:
            with self._calling:
                self._sock = self._begin(deadline_s)
            return self.call("hello", max(0.0, deadline_s - time.monotonic()))
        except BaseException:  # Ctrl-C included: nothing half started stays behind
            self._end()
            raise

    def call(self, command: str, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """The worker's answer to `command`; arrays in it are read-only.

        Raises WorkerRaised, after which the worker goes on; WorkerHung, WorkerDied or WorkerBabbled, after which it is
        gone and `start` starts another; WorkerLost where there is none; FrameError for arguments that cannot be sent.
        """
        frame = protocol.pack({"command": command, "arguments": arguments})
        with self._calling:
            sock, child = self._sock, self._child
            if sock is None or child is None:
                raise WorkerLost(f"{command}: no worker is running; start one")
            try:
                return _answer(command, sock, frame, time.monotonic() + timeout_s)
            except WorkerRaised:
                raise
            except TimeoutError:
                lines = child.last_lines()
                self._end()
                raise WorkerHung(f"{command}: no answer within {timeout_s:g} s{quoted(lines)}") from None
            except (protocol.FrameError, EOFError, OSError) as error:
                raise self._gone(command, child, error) from error
            except BaseException:  # Ctrl-C in the middle of a frame: the rest of it would be taken for an answer
                self._end()
                raise

    def close(self) -> None:
        """End the worker and what it started: politely, or in the middle of a call, which then raises WorkerLost."""
        self._closing = True
        held = self._calling.acquire(blocking=False)
        try:
            if held:
                self._say_goodbye()
            else:
                self._interrupt()
                held = self._calling.acquire(timeout=CLOSE_S)
            self._end()
        finally:
            self._closing = False
            if held:
                self._calling.release()

    def _begin(self, deadline_s: float) -> socket.socket:
        if not self._root.is_dir():
            raise WorkerLost(f"start: {self._root} is no folder")
        with tempfile.TemporaryDirectory(prefix="smp-robotwin-") as folder, _listen(Path(folder) / "s") as listener:
            line = [self._python, str(self._worker), "--root", str(self._root), "--socket", listener.getsockname()]
            try:
                self._child = Child([*line, *self._arguments], self._root)
            except OSError as error:
                raise WorkerLost(f"start: {self._python} cannot be started: {error}") from error
            return self._accept(listener, self._child, deadline_s)

    def _accept(self, listener: socket.socket, child: Child, deadline_s: float) -> socket.socket:
        listener.settimeout(0.05)
        while time.monotonic() < deadline_s:
            with contextlib.suppress(TimeoutError):
                return listener.accept()[0]
            if child.ended():
                raise self._gone("start", child, EOFError())
        raise WorkerHung(f"start: the worker did not connect in time{quoted(child.last_lines())}")

    def _gone(self, command: str, child: Child, error: Exception) -> WorkerLost:
        """What to raise for a worker whose connection is of no use any more; it is ended."""
        alone = child.wait(DYING_S)
        code = child.kill()
        self._end()
        if self._closing:
            return WorkerLost(f"{command}: the link was closed meanwhile")
        lines = quoted(child.last_lines())
        if alone:
            return WorkerDied(f"{command}: the worker {ended(code)}{lines}")
        return WorkerBabbled(f"{command}: the worker does not speak the protocol: {error}{lines}")

    def _say_goodbye(self) -> None:
        sock, child = self._sock, self._child
        if sock is None or child is None:
            return
        with contextlib.suppress(Exception):
            _answer("close", sock, protocol.pack({"command": "close", "arguments": {}}), time.monotonic() + CLOSE_S)
            child.wait(CLOSE_S)

    def _interrupt(self) -> None:
        child, sock = self._child, self._sock
        if child is not None:
            child.kill()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes who waits for an answer

    def _end(self) -> None:
        child, sock = self._child, self._sock
        if child is not None:
            child.kill()
        if sock is not None:
            sock.close()
        self._child = self._sock = None


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        listener.listen(1)
    except OSError as error:
        listener.close()
        raise WorkerLost(f"start: no socket can be made at {path}: {error}") from error
    return listener


def _answer(command: str, sock: socket.socket, frame: bytes, deadline_s: float) -> dict[str, Any]:
    """Raises WorkerRaised for an error that came as an answer, else as `protocol.receive`."""
    protocol.send(sock, frame, deadline_s)
    answer = protocol.receive(sock, deadline_s)
    error = answer.get("error")
    if isinstance(error, dict) and set(error) == protocol.ERROR_KEYS:
        raise WorkerRaised(command, **error)
    if not isinstance(answer.get("ok"), dict):
        raise protocol.FrameError("a message is no answer")
    return answer["ok"]
