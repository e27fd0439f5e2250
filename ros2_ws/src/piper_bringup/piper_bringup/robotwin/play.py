"""One episode of an evaluation: reset, chunk after chunk of a policy, and how it ended, by name. No ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from piper_bringup.robotwin.lost import WorkerLost, WorkerRaised
from piper_bringup.robotwin.stage import Begun, Moment, Stage
from piper_bringup.robotwin.units import NotPiper

_NO_PATH = ("NoPlanner",)  # types of exceptions
_NO_PLANNER = "_planner'"  # in RoboTwin's famous AttributeError where CuRobo is not installed


class Phase(StrEnum):
    """Where an episode stands, or how it ended: values of smp_msgs/BenchmarkState.phase."""

    IDLE = "idle"
    RESETTING = "resetting"
    WAITING = "waiting"
    ACTING = "acting"
    SUCCESS = "success"
    STEP_LIMIT = "step_limit"
    TIME_OVER = "time_over"
    TOO_SLOW = "too_slow"
    POLICY_ERROR = "policy_error"
    PLANNER_FAIL = "planner_fail"
    PROGRAM_ERROR = "program_error"
    WORKER_LOST = "worker_lost"
    STOPPED = "stopped"


ENDS = tuple(Phase)[list(Phase).index(Phase.SUCCESS) :]


class PolicyError(RuntimeError):
    """The policy gave no chunk, or one that cannot be executed; the message says which and why."""


class Stopped(RuntimeError):
    """A person ends the evaluation."""


class Player(Protocol):
    """Who is evaluated."""

    def begin(self, begun: Begun, moment: Moment) -> None:
        """An episode begins. Raises PolicyError, Stopped."""

    def chunk(self, moment: Moment) -> Sequence[NDArray[np.float64]]:
        """(n, 14) rad and m, n at least 1, to be executed from `moment` on. Raises PolicyError, Stopped."""

    def end(self, phase: Phase, text: str) -> None:
        """The episode that `begin` began, or tried to, has ended."""

    def stopped(self) -> bool:
        """Whether a person ends the evaluation."""


class Teller(Protocol):
    """Who wants to know."""

    def phase(self, phase: Phase, text: str) -> None:
        """The episode stands elsewhere."""

    def moment(self, moment: Moment) -> None:
        """An action was executed."""


@dataclass(frozen=True)
class Played:
    """An episode that ended."""

    task: str
    seed: int  # that was used; where no episode began, the first that was to be tried
    reason: Phase
    detail: str
    success: bool  # as the environment set it
    actions: int
    physics_steps: int
    chunks: int
    step_limit: int
    instruction: str
    instruction_type: str
    instruction_generated: bool
    skipped: tuple[dict[str, Any], ...]


class Play:
    """One episode of `task`, from the first seed from `seed` on that will do. `run` once."""

    def __init__(self, stage: Stage, player: Player, teller: Teller, task: str, seed: int) -> None:
        self._stage, self._player, self._teller = stage, player, teller
        self._task, self._seed = task, seed
        self._moment: Moment | None = None
        self._begun: Begun | None = None
        self._chunks = 0

    def run(self) -> Played:
        """How it ended. Raises Stopped; everything else that can go wrong is a reason."""
        if self._player.stopped():  # after the episode before, whose end was waited for
            raise Stopped("ended by a person")
        playing = False
        reason, detail = Phase.STOPPED, "ended by a person"
        try:
            self._teller.phase(Phase.RESETTING, f"{self._task} from seed {self._seed} on")
            self._moment = self._stage.reset(self._task, self._seed)
            self._begun = self._stage.begun
            playing = True
            self._player.begin(self._begun, self._moment)
            reason, detail = self._to_the_end()
        except PolicyError as error:
            reason, detail = Phase.POLICY_ERROR, str(error)
        except WorkerLost as error:
            if self._player.stopped():
                raise Stopped("ended by a person") from error
            reason, detail = Phase.WORKER_LOST, str(error)
        except WorkerRaised as error:
            reason, detail = raised(error), str(error)
        except NotPiper as error:
            reason, detail = Phase.PROGRAM_ERROR, str(error)
        finally:
            if playing:
                self._player.end(reason, detail)
        self._teller.phase(reason, detail)
        return self._played(reason, detail)

    def _to_the_end(self) -> tuple[Phase, str]:
        while not self._stage.over(self._moment):
            self._teller.phase(Phase.WAITING, "for a chunk of the policy")
            rows = self._player.chunk(self._moment)
            self._chunks += 1
            self._teller.phase(Phase.ACTING, f"chunk {self._chunks} of {len(rows)} actions")
            self._moment = self._stage.act(rows, self._acted)
        if self._moment.solved:
            return Phase.SUCCESS, f"solved in {self._moment.action_count} actions"
        return Phase.STEP_LIMIT, f"not solved in {self._moment.action_count} actions"

    def _acted(self, moment: Moment) -> None:
        self._moment = moment
        self._teller.moment(moment)

    def _played(self, reason: Phase, detail: str) -> Played:
        begun, moment = self._begun, self._moment
        return Played(
            task=self._task,
            seed=begun.seed if begun else self._seed,
            reason=reason,
            detail=detail,
            success=reason == Phase.SUCCESS,
            actions=moment.action_count if moment else 0,
            physics_steps=moment.physics_steps if moment else 0,
            chunks=self._chunks,
            step_limit=begun.step_limit if begun else 0,
            instruction=begun.instruction if begun else "",
            instruction_type=begun.instruction_type if begun else "",
            instruction_generated=begun.instruction_generated if begun else False,
            skipped=begun.skipped if begun else (),
        )


def raised(error: WorkerRaised) -> Phase:
    """Whether a planner is what failed: the expert's, on which the choice of seeds hangs, or one that is not there."""
    no_seed = error.phase == "seeds" and "expert_" in error.reason
    missing = error.type in _NO_PATH or (error.type == "AttributeError" and _NO_PLANNER in error.reason)
    return Phase.PLANNER_FAIL if no_seed or missing else Phase.PROGRAM_ERROR
