"""Closed-loop episodes of one or more methods, in worker processes: equal seeds for each, equal answers always."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from piper_bringup.cell.render import Renderer
from piper_bringup.cell.world import World
from piper_bringup.data import names
from piper_bringup.video import Video
from smp_policy.learn.rollout import Rollout, rollout
from smp_policy.learn.score import Jerk, jerk
from smp_policy.run.backend_torch import TorchBackend, load
from smp_policy.run.policy import Backend, Inputs, Outputs, Policy
from smp_policy.smp.basis import reach
from smp_policy.smp.config import Selection
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import SkillMoEPolicy

FILMED = "head"  # the camera that sees both arms


@dataclass(frozen=True)
class Method:
    """A model, and how its experts are selected."""

    model: Path
    selection: Selection
    sticky: bool = False

    @property
    def name(self) -> str:
        """As tables call it."""
        s = self.selection
        how = {"coverage": f"coverage {s.tau:g}", "top_k": f"top {s.k}", "all": "all experts"}[s.rule]
        how += ", linear mass" if s.rule == "coverage" and s.power == 1.0 else ""
        return how + (", each arm" if s.per_arm else "") + (", sticky filter" if self.sticky else "")


@dataclass(frozen=True)
class Trial:
    """One episode to be played."""

    method: Method
    task: str
    seed: int
    delay_ns: int
    limit_s: float
    with_basis: bool = False
    video: Path | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a trial went, policy step by policy step (S of them)."""

    task: str
    seed: int
    success: bool
    goals: tuple[str, ...]  # reached, in order
    progress: float  # share of the task's goals reached
    seconds: float  # simulated
    gate: NDArray[np.float32]  # (S, K)
    active: NDArray[np.bool_]  # (S, K)
    latency_s: NDArray[np.float64]  # (S,)
    jerk: Jerk
    broke: str  # why the physics gave up; mostly empty
    basis: NDArray[np.float32] | None  # (S, 14, K)
    fault: str = ""  # why the driver gave up
    refused: int = 0  # chunks that it would not follow


def outcome_of(result: Rollout, delay_ns: int, basis: NDArray[np.float32] | None) -> Outcome:
    """What of a rollout is kept."""
    same = {f.name: getattr(result, f.name) for f in dataclasses.fields(Outcome) if hasattr(result, f.name)}
    return Outcome(**same, jerk=jerk(result.target, result.active, delay_ns), basis=basis)


class Attentive:
    """A backend that also keeps what it was asked."""

    def __init__(self, backend: Backend) -> None:
        self.contract, self._backend = backend.contract, backend
        self.asked: list[Inputs] = []

    def infer(self, inputs: Inputs) -> Outputs:
        """See `Backend.infer`."""
        self.asked.append(inputs)
        return self._backend.infer(inputs)


class Stage:
    """What a worker process keeps between trials: the last method's policy, the last task's world, one renderer."""

    def __init__(self) -> None:
        self._method: Method | None = None
        self._world: World | None = None
        self._renderer: Renderer | None = None

    def play(self, trial: Trial) -> Outcome:
        """Raises ContractError, NoGraphics."""
        policy = self._policy(trial.method)
        world = self._world_of(trial.task)
        needs_pictures = bool(policy.contract.cameras)
        renderer = self._renderer_of(world) if needs_pictures or trial.video else None
        film = Video(_made(trial.video), 1e9 / names.DT_NS) if trial.video else None
        look = None if film is None else lambda: film.add(renderer.render(world.positions(), (FILMED,))[FILMED])
        self._backend.asked.clear()
        result = rollout(
            policy, world, trial.seed, trial.limit_s, trial.delay_ns, renderer if needs_pictures else None, look
        )
        if film is not None:
            film.close()
        basis = basis_of(self._network, self._backend.asked) if trial.with_basis else None
        return outcome_of(result, trial.delay_ns, basis)

    def _policy(self, method: Method) -> Policy:
        if method != self._method:
            contract, self._network = load(method.model)
            self._network.config = dataclasses.replace(self._network.config, selection=method.selection)
            self._backend = Attentive(TorchBackend(contract, self._network))
            self._playing, self._method = Policy(self._backend, sticky=method.sticky), method
        return self._playing

    def _world_of(self, task: str) -> World:
        if self._world is None or self._world.task.name != task:
            self._world, self._drawn = World(task), False
        return self._world

    def _renderer_of(self, world: World) -> Renderer:
        """One GL context a process: another would have to be made current at every picture."""
        if self._renderer is None:
            self._renderer = Renderer(world.model)
        elif not self._drawn:
            self._renderer.use(world.model)
        self._drawn = True
        return self._renderer

    def close(self) -> None:
        """Free the GL context, if there is one."""
        if self._renderer is not None:
            self._renderer.close()


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@torch.no_grad()
def basis_of(network: SkillMoEPolicy, asked: Sequence[Inputs]) -> NDArray[np.float32]:
    """`reach` of B(s) at each of S inputs: (S, 14, K)."""

    def stacked(name: str) -> torch.Tensor | None:
        values = [getattr(inputs, name) for inputs in asked]
        return None if values[0] is None else torch.from_numpy(np.stack(values))

    task = torch.tensor([inputs.task for inputs in asked])
    seen = Observation(stacked("proprio"), task, stacked("slots"), stacked("images"))
    return reach(network.basis(network.encoder(seen)), network.config.action, network.config.experts).numpy()


_stage: Stage | None = None  # of this worker process


def _begin() -> None:
    global _stage
    torch.set_num_threads(1)  # as many processes as cores: threads of one would only wait for those of another
    _stage = Stage()


def _play(trial: Trial) -> Outcome:
    return _stage.play(trial)


def play_all(trials: Sequence[Trial], processes: int) -> list[Outcome]:
    """Outcomes in the order of the trials, with a progress bar; one process is this one, more are workers.

    Raises what `Stage.play` does, or RuntimeError for a worker that died.
    """
    found: dict[int, Outcome] = {}
    with tqdm(total=len(trials), unit="episode", disable=None, smoothing=0.05) as bar:
        for i, outcome in _played_here(trials) if processes == 1 else _played_by_workers(trials, processes):
            found[i] = outcome
            bar.set_description(outcome.task)
            bar.set_postfix_str(f"{sum(one.success for one in found.values())} of {len(found)} succeeded")
            bar.update()
    return [found[i] for i in range(len(trials))]


def _played_here(trials: Sequence[Trial]) -> Iterator[tuple[int, Outcome]]:
    threads, stage = torch.get_num_threads(), Stage()
    torch.set_num_threads(1)  # as in workers, so that sums are added up in the same order
    try:
        for i, trial in enumerate(trials):
            yield i, stage.play(trial)
    finally:
        torch.set_num_threads(threads)
        stage.close()


def _played_by_workers(trials: Sequence[Trial], processes: int) -> Iterator[tuple[int, Outcome]]:
    """Number and outcome of each trial, in the order in which they end."""
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin)
    try:
        number = {pool.submit(_play, trial): i for i, trial in enumerate(trials)}
        for future in as_completed(number):
            yield number[future], future.result()
    except BrokenProcessPool as error:
        raise RuntimeError("a worker process died (out of memory?); fewer --processes need less") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
