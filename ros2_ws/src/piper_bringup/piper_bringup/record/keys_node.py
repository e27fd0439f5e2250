"""The terminal's side of the recorder: keys in, action and services out."""

from __future__ import annotations

import signal
import sys
import threading
import time

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from piper_bringup.record.desk_node import ACTION, DISCARD, NOTHING, SAVE
from piper_bringup.record.terminal import END, pressed, single_keys
from piper_bringup.spin_node import leave
from smp_msgs.action import RecordEpisode

HELP = "s start, y save as success, n save as failure, d discard, q quit"
FIND_S, END_S, POLL_S = 10.0, 60.0, 0.05
SETTLE_S = 1.0  # for the recorder to find us as well: an answer to somebody unknown is dropped
QUIT = ("q", END)


class NoRecorder(RuntimeError):
    """Nobody serves the action."""


class Keys(Node):
    """One recording at a time; says in words what comes of each key."""

    def __init__(self, task: str, operator: str, longest_s: float, stop: threading.Event) -> None:
        """stop: somebody wants to quit. Raises NoRecorder."""
        super().__init__("recorder_keys")
        self._goal = RecordEpisode.Goal(task=task, operator_name=operator, max_duration_s=longest_s)
        self._action = ActionClient(self, RecordEpisode, ACTION)
        self._save = self.create_client(SetBool, SAVE)
        self._discard = self.create_client(Trigger, DISCARD)
        self._stop = stop
        self._result: Future | None = None  # of the recording under way
        self._handle = None
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._find()

    def press(self, key: str) -> bool:
        """Do what `key` says; False to quit."""
        if key in QUIT:
            return False
        if key == "s":
            self._start()
        elif key in ("y", "n"):
            self._call(self._save, SetBool.Request(data=key == "y"))
        elif key == "d":
            self._call(self._discard, Trigger.Request())
        else:
            say(HELP)
        return True

    def serve(self) -> None:
        """What has arrived; says how a recording ended."""
        self._executor.spin_once(timeout_sec=0.0)
        if self._result is not None and self._result.done():
            result = self._result.result().result
            self._result = self._handle = None
            say(f"{result.reason}; outcome {result.outcome}; {result.bag_path}")

    def quit(self) -> None:
        """Leaving in the middle keeps the episode, with the outcome as the events have it."""
        if self._handle is not None:
            self._wait(self._handle.cancel_goal_async())
            self._wait(self._result)
            self.serve()

    def _find(self) -> None:
        end_s = time.monotonic() + FIND_S
        while not (self._action.server_is_ready() and self._save.service_is_ready()):
            if self._stop.wait(POLL_S) or time.monotonic() > end_s:
                raise NoRecorder(f"no recorder serves {ACTION} within {FIND_S:.0f} s: start node recorder first")
        self._stop.wait(SETTLE_S)

    def _start(self) -> None:
        if self._result is not None:
            say("an episode is being recorded: y, n or d ends it")
            return
        self._handle = self._wait(self._action.send_goal_async(self._goal, self._on_feedback))
        if self._handle is None or not self._handle.accepted:
            say("the recorder does not accept")
            return
        self._result = self._handle.get_result_async()
        say(f"recording {self._goal.task}")

    def _call(self, client, request) -> None:
        answer = self._wait(client.call_async(request))
        if answer is None:
            say("no answer from the recorder")
        elif answer.message == NOTHING:  # anything else comes as the result of the recording
            say(NOTHING)

    def _wait(self, future: Future):
        """The future's result; None after END_S."""
        self._executor.spin_until_future_complete(future, END_S)
        return future.result() if future.done() else None

    def _on_feedback(self, message) -> None:
        feedback = message.feedback
        total = sum(feedback.counts)
        line = f"{feedback.elapsed_s:5.0f} s, {total} messages, {feedback.bytes / 1e6:.1f} MB"
        print(f"\r{line}", end="\n" if not sys.stdout.isatty() else "", flush=True)


def say(text: str) -> None:
    """A line of its own, over the running one."""
    print(f"\r{text}", flush=True)


def run(task: str, operator: str, longest_s: float) -> int:
    """Serve keys until one of them, Ctrl-C or the end of the input quits; the exit code.

    The signals are ours, not rclpy's, which would cut us off before the recording is cancelled.
    """
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        node = Keys(task, operator, longest_s, stop)
    except NoRecorder as error:
        print(error, file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    try:
        with single_keys():
            say(HELP)  # not before: changing the terminal drops what was typed until then
            _serve(node, stop)
            node.quit()
    finally:
        leave(node)
    return 0


def _serve(node: Keys, stop: threading.Event) -> None:
    while not stop.is_set():
        key = pressed(POLL_S)
        node.serve()
        if key and not node.press(key):
            return
