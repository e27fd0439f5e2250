"""What can be asked of the bridge, on threads of its own: RoboTwin takes minutes to answer, and others still ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from piper_bringup.arm.safety import Mode
from piper_bringup.aside_node import Aside
from piper_bringup.data import names
from piper_bringup.robotwin import units
from piper_bringup.robotwin.bridge_link_node import Speaker
from piper_bringup.robotwin.evaluations_node import Busy, Evaluations
from piper_bringup.robotwin.lost import WorkerError, WorkerLost
from piper_bringup.robotwin.play import Phase
from piper_bringup.robotwin.settings import FIRST_SEED, Settings
from piper_bringup.robotwin.stage import Moment, Stage
from piper_bringup.robotwin.units import NotPiper
from smp_msgs.srv import BenchmarkExpert, BenchmarkReset, BenchmarkStep, ListTasks

_THREADS = 6  # an evaluation, who cancels it, its run and its chunks, and two who are told that it is busy
CLOSE_S = 5.0  # for an evaluation under way to write its file
_WRONG = (WorkerError, NotPiper, ValueError)


class Desk(Node):
    """Node `robotwin_desk`: services and the action evaluate. One at a time uses the stage."""

    def __init__(self, stage: Stage, speaker: Speaker, settings: Settings) -> None:
        super().__init__("robotwin_desk", use_global_arguments=False)  # __node:= is not for it
        self._stage, self._speaker = stage, speaker
        self._using, self._closed = threading.Lock(), False
        group = ReentrantCallbackGroup()
        for kind, name, serve in (
            (ListTasks, names.SERVICE_LIST_TASKS, self._on_list),
            (BenchmarkReset, names.SERVICE_BENCHMARK_RESET, self._on_reset),
            (BenchmarkStep, names.SERVICE_BENCHMARK_STEP, self._on_step),
            (BenchmarkExpert, names.SERVICE_BENCHMARK_EXPERT, self._on_expert),
        ):
            self.create_service(kind, name, serve, callback_group=group)
        self._evaluations = Evaluations(self, group, stage, speaker, settings, self._alone)
        self._aside = Aside(self, _THREADS)

    def close(self) -> None:
        """End what goes on, its file whole, and answer no more."""
        self._closed = True
        self._evaluations.stop()
        self._stage.close()
        if self._using.acquire(timeout=CLOSE_S):
            self._using.release()
        self._aside.close()
        self._evaluations.destroy()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises Busy. What leaves no episode says so before somebody else has a turn."""
        if self._closed or not self._using.acquire(blocking=False):
            raise Busy("busy: an evaluation or another request goes on")
        try:
            yield
        except _WRONG as error:
            lost = isinstance(error, WorkerLost)
            if lost or self._stage.begun is None:
                self._speaker.state(Phase.WORKER_LOST if lost else Phase.IDLE, str(error), None)
            raise
        finally:
            self._using.release()

    # --- services -------------------------------------------------------------------------------------------

    def _on_list(self, request: ListTasks.Request, response: ListTasks.Response) -> ListTasks.Response:
        about = self._stage.about
        response.success, response.tasks = True, about["tasks"]
        response.step_limits = [int(about["step_limits"].get(task, 0)) for task in about["tasks"]]
        response.message = f"RoboTwin {about['branch']}, commit {about['commit'] or 'unknown'}"
        return response

    def _on_reset(self, request: BenchmarkReset.Request, response: BenchmarkReset.Response) -> BenchmarkReset.Response:
        try:
            with self._alone():
                self._speaker.state(Phase.RESETTING, request.task, None)
                seed = FIRST_SEED if request.seed < 0 else request.seed
                moment = self._stage.reset(request.task, seed)
                self._speaker.begun(self._stage.begun, moment)
                self._tell(Phase.WAITING, "for an action", moment)
        except (*_WRONG, Busy) as error:
            response.message = str(error)
            return response
        begun = self._stage.begun
        response.success, response.message = True, f"{begun.task} with seed {begun.seed} has begun"
        response.seed, response.instruction, response.step_limit = begun.seed, begun.instruction, begun.step_limit
        response.skipped_seeds = [entry["seed"] for entry in begun.skipped]
        response.skipped_reasons = [entry["reason"] for entry in begun.skipped]
        return response

    def _on_step(self, request: BenchmarkStep.Request, response: BenchmarkStep.Response) -> BenchmarkStep.Response:
        try:
            units.admit(request.positions)  # a chunk's slight overshoot is clipped, what a person asks for is not
            with self._alone():
                moment, response.success, steps = self._stage.step(np.asarray(request.positions), pictures=True)
                self._speaker.show(moment, Mode.HOLD)
                self._tell(Phase.SUCCESS if moment.solved else Phase.WAITING, "for an action", moment)
        except (*_WRONG, Busy) as error:
            response.message = str(error)
            return response
        response.message = "executed" if response.success else "not taken: the episode is over"
        response.solved, response.action_count, response.physics_steps = moment.solved, moment.action_count, steps
        return response

    def _on_expert(
        self, request: BenchmarkExpert.Request, response: BenchmarkExpert.Response
    ) -> BenchmarkExpert.Response:
        try:
            with self._alone():
                moment, response.planned = self._stage.expert()
                self._speaker.show(moment, Mode.HOLD)
                self._tell(Phase.SUCCESS if moment.solved else Phase.WAITING, "the expert is done", moment)
        except (*_WRONG, Busy) as error:
            response.message = str(error)
            return response
        response.success, response.solved = True, moment.solved
        response.message = "solved" if moment.solved else "not solved" if response.planned else "not planned"
        return response

    def _tell(self, phase: Phase, text: str, moment: Moment) -> None:
        self._speaker.state(phase, "solved" if phase == Phase.SUCCESS else text, moment)
