"""Episodes to arrays: what training reads of a data set, checked once, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from piper_bringup.data import names
from piper_bringup.data.episode import Episode, EpisodeError, read
from piper_bringup.data.episode_files import find
from smp_policy.run.contract import World


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """N episodes, their R rows one behind the other; row r of episode e is first[e] + r."""

    tasks: tuple[str, ...]  # names in the order of the task numbers
    instructions: tuple[str, ...]
    trained_in: World
    first: NDArray[np.int64]  # (N + 1,) row at which each episode begins; the last is R
    task: NDArray[np.int64]  # (N,)
    state: NDArray[np.float64]  # (R, 14) measured, rad and m
    target: NDArray[np.float64]  # (R, 14) in force at the row
    action: NDArray[np.float64]  # (R, 14) target that was meant to be due DT later
    pushed: NDArray[np.float64]  # (R, 14) how far `target` is from what was meant to be in force
    objects: NDArray[np.float64] | None  # (R, slots, F)
    phase: NDArray[np.int64]  # (R,) what the expert was doing, numbered over the whole data set; -1 unknown
    phases: tuple[str, ...]  # "task: phase"
    paths: tuple[Path, ...]  # of every episode loaded, also of those that `subset` left out
    picture: NDArray[np.int64]  # (R,) where the row lies among the rows of all `paths`

    def __len__(self) -> int:
        """N."""
        return len(self.task)


DONE = "return"  # what a scripted expert calls its way home, once the task is done
SEEN_DONE = 4  # rows of it that are kept: success shows a little after the last act


def load(paths: Sequence[Path], tasks: Sequence[str] = (), with_objects: bool = True) -> Demonstrations:
    """Every successful episode in files and folders. ``tasks`` fixes order and choice; default: all, by name.

    Raises EpisodeError naming the file that is damaged or differs, or a task without an episode.
    """
    episodes = [(path, read(path, images=False)) for path in tqdm(find(paths), "reading", unit="file", disable=None)]
    kept = [(path, e) for path, e in episodes if e.success and (not tasks or e.task in tasks)]
    order = tuple(tasks) or tuple(sorted({e.task for _, e in kept}))
    for task in order or ("any task",):
        if not any(e.task == task or not order for _, e in kept):
            there = ", ".join(sorted({e.task for _, e in episodes})) or "nothing"
            raise EpisodeError(f"no successful episode of {task} in {', '.join(map(str, paths))}; found {there}")
    for path, e in kept:
        if e.dt_ns != names.DT_NS:
            raise EpisodeError(f"{path}: dt_ns is {e.dt_ns}, training wants rows every {names.DT_NS} ns; resample it")
        if with_objects and e.objects is None:
            raise EpisodeError(f"{path}: objects: none, only the cell has them: train image (see: --tell hands)")
    return _joined(order, tuple(path for path, _ in kept), [e for _, e in kept], with_objects)


def _joined(
    tasks: tuple[str, ...], paths: tuple[Path, ...], whole: list[Episode], with_objects: bool
) -> Demonstrations:
    begins, episodes = np.cumsum([0, *map(len, whole)]), [_until_done(e) for e in whole]
    phases = tuple(dict.fromkeys(f"{e.task}: {name}" for e in episodes for name in e.phases))
    return Demonstrations(
        tasks=tasks,
        instructions=tuple(next(e.instruction for e in episodes if e.task == task) for task in tasks),
        trained_in=_world({e.source for e in episodes}),
        first=np.cumsum([0, *map(len, episodes)]),
        task=np.array([tasks.index(e.task) for e in episodes]),
        state=np.concatenate([e.state for e in episodes]),
        target=np.concatenate([e.target for e in episodes]),
        action=np.concatenate([meant(e) for e in episodes]),
        pushed=np.concatenate([_pushed(e) for e in episodes]),
        objects=np.concatenate([e.objects for e in episodes]) if with_objects else None,
        phase=np.concatenate([_phase(e, phases) for e in episodes]),
        phases=phases,
        paths=paths,
        picture=np.concatenate([begin + np.arange(len(e)) for begin, e in zip(begins[:-1], episodes, strict=True)]),
    )


def _until_done(episode: Episode) -> Episode:
    """Without the way home: it leads through the same places as the way there, and no picture tells which of them."""
    if DONE not in episode.phases or episode.phase is None:
        return episode
    busy = np.flatnonzero(episode.phase != episode.phases.index(DONE))
    rows = (busy[-1] + 1 if len(busy) else 0) + SEEN_DONE
    kept = ("t_ns", "state", "target", "action", "objects", "phase", "wanted")
    tables = {name: getattr(episode, name) for name in kept}
    return replace(episode, **{name: None if table is None else table[:rows] for name, table in tables.items()})


def meant(episode: Episode) -> NDArray[np.float64]:
    """(T, 14): what to learn is the way that was meant, not the push off it."""
    return episode.action if episode.wanted is None else episode.wanted


def _pushed(episode: Episode) -> NDArray[np.float64]:
    """(T, 14). An episode begins where it was meant to."""
    return episode.target - np.vstack([episode.target[:1], meant(episode)[:-1]])


def _phase(episode: Episode, phases: tuple[str, ...]) -> NDArray[np.int64]:
    if episode.phase is None:
        return np.full(len(episode), -1)
    number = np.array([phases.index(f"{episode.task}: {name}") for name in episode.phases])
    return number[episode.phase]


def _world(sources: set[str]) -> World:
    simulated = sources & {"cell", "robotwin-stable", "robotwin-v1"}
    if not simulated:
        return "robot"
    return "simulation" if simulated == sources else "mixed"


def split(data: Demonstrations, held_out: int, seed: int) -> tuple[Demonstrations, Demonstrations]:
    """Without ``held_out`` episodes drawn by ``seed``, and those. Raises ValueError where none would be left."""
    if not 0 < held_out < len(data):
        raise ValueError(f"{held_out} episodes cannot be held out of {len(data)}: some are needed on both sides")
    order = np.random.default_rng(seed).permutation(len(data))
    return subset(data, np.sort(order[held_out:])), subset(data, np.sort(order[:held_out]))


def subset(data: Demonstrations, episodes: NDArray[np.int64]) -> Demonstrations:
    """The episodes with these numbers, in this order."""
    rows = np.concatenate([np.arange(data.first[i], data.first[i + 1]) for i in episodes])
    first = np.cumsum([0, *np.diff(data.first)[episodes]])
    return replace(of_rows(data, rows), first=first, task=data.task[episodes])


def of_rows(data: Demonstrations, rows: NDArray[np.int64]) -> Demonstrations:
    """Every table of these rows alone; `first` and `task`, which count episodes, are the caller's to set."""
    tables = ("state", "target", "action", "pushed", "objects", "phase", "picture")
    parts = {name: getattr(data, name) for name in tables}
    return replace(data, **{name: None if part is None else part[rows] for name, part in parts.items()})
