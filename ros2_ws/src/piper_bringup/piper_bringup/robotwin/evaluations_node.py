"""The action evaluate, on a node that somebody else made: episodes one after the other, and their file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from piper_bringup.data import names
from piper_bringup.data.shares import wilson
from piper_bringup.robotwin import evaluation, result_file
from piper_bringup.robotwin.bridge_link_node import Speaker
from piper_bringup.robotwin.evaluation import GaveUp, Wanted, WantedError
from piper_bringup.robotwin.match_node import Match
from piper_bringup.robotwin.play import Phase, Played, Stopped
from piper_bringup.robotwin.settings import Settings
from piper_bringup.robotwin.stage import Stage
from smp_msgs.action import Evaluate

GRACE_S = 0.5  # for a cancelled evaluation to end by itself


class Busy(RuntimeError):
    """Somebody else uses the stage."""


class Evaluations:
    """Serves the action on threads of the node's executor."""

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        stage: Stage,
        speaker: Speaker,
        settings: Settings,
        alone: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """alone: keeps others from the stage, or raises Busy."""
        self._node, self._stage, self._settings, self._alone = node, stage, settings, alone
        self._goal: ServerGoalHandle | None = None
        self._closed = False
        self._match = Match(node, speaker, settings.timeouts__policy_s, self._stopped)
        self._server = ActionServer(
            node, Evaluate, names.ACTION_EVALUATE, self._evaluate, callback_group=group, cancel_callback=self._on_cancel
        )

    def stop(self) -> None:
        """End the one that goes on."""
        self._closed = True

    def destroy(self) -> None:
        """Serve no more."""
        self._server.destroy()

    def _stopped(self) -> bool:
        return self._closed or (self._goal is not None and self._goal.is_cancel_requested)

    def _on_cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        """A worker that is at work is ended: a reset takes minutes. The next episode gets another one."""
        threading.Timer(GRACE_S, self._break_off, [goal]).start()
        return CancelResponse.ACCEPT

    def _break_off(self, goal: ServerGoalHandle) -> None:
        if self._goal is goal and goal.is_cancel_requested:
            self._stage.drop()

    def _evaluate(self, goal: ServerGoalHandle) -> Evaluate.Result:
        asked = goal.request
        wanted = Wanted(tuple(asked.tasks), int(asked.episodes), int(asked.seed), asked.policy)
        answer = Evaluate.Result(rate=float("nan"), low=float("nan"), high=float("nan"))
        try:
            with self._alone():
                evaluation.check(wanted, self._stage.about["tasks"])
                path = result_file.place(Path(self._settings.out).expanduser())
                answer.path = str(path.absolute())
                self._goal = goal
                try:
                    answer.message = self._play(goal, wanted, path, answer) or f"all episodes were played; {path}"
                finally:
                    self._goal = None
                    self._match.phase(Phase.IDLE, "no evaluation")
        except (Busy, WantedError, OSError) as error:
            answer.message = str(error)
        self._node.get_logger().info(f"evaluation: {answer.message}")
        _conclude(goal, answer.success)
        return answer

    def _play(self, goal: ServerGoalHandle, wanted: Wanted, path: Path, answer: Evaluate.Result) -> str:
        """Why it ended before its end; empty: it did not."""
        played: list[Played] = []
        ended = "under way"
        try:
            self._write(path, wanted, played, ended)
            for one in evaluation.evaluate(self._stage, self._match, self._match, wanted):
                played.append(one)
                self._write(path, wanted, played, ended)
                _count(answer, played)
                goal.publish_feedback(_feedback(played))
                self._node.get_logger().info(f"{one.task} seed {one.seed}: {one.reason}; {one.detail}")
            ended, answer.success = "", True
        except (Stopped, GaveUp) as error:
            ended = str(error)
        except Exception as error:  # of ours: the file is to say so
            ended = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._write(path, wanted, played, ended)
        return ended

    def _write(self, path: Path, wanted: Wanted, played: list[Played], ended: str) -> None:
        result_file.write(path, evaluation.result(wanted, self._settings, self._stage.about, played, ended))


def _count(answer: Evaluate.Result, played: list[Played]) -> None:
    answer.episodes, answer.successes = len(played), sum(one.success for one in played)
    answer.rate, answer.low, answer.high = wilson(answer.successes, answer.episodes)


def _feedback(played: list[Played]) -> Evaluate.Feedback:
    last = played[-1]
    return Evaluate.Feedback(
        task=last.task,
        seed=last.seed,
        reason=str(last.reason),
        episodes=len(played),
        successes=sum(one.success for one in played),
    )


def _conclude(goal: ServerGoalHandle, played_all: bool) -> None:
    """The goal's state is how the evaluation went, not how many successes it has."""
    if goal.is_cancel_requested:
        goal.canceled()
    elif played_all:
        goal.succeed()
    else:
        goal.abort()
