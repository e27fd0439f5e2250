"""Scripted demonstrations as episode files. Pure but for the file; one process or many."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mujoco
import numpy as np

from piper_bringup.cell import motion
from piper_bringup.cell.expert import Demonstration
from piper_bringup.cell.render import Renderer
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import World
from piper_bringup.data import images
from piper_bringup.data.episode import Episode, EpisodeError, read
from piper_bringup.data.names import CAMERAS, DT_NS

SOURCE = "cell"
DIFFICULTY = "difficulty"  # in the notes of an episode: Difficulty as JSON
PACKAGE = "piper_bringup"


def path_of(out: Path, task: str, seed: int) -> Path:
    """Where the episode of `task` for `seed` lies in the data set `out`."""
    return out / task / f"{task}_{seed:06d}.hdf5"


def episode_of(found: Demonstration, world: World, renderer: Renderer | None = None) -> Episode:
    """What `found` showed in `world`, with the pictures of `renderer` if there is one."""
    t_ns = np.arange(len(found.q), dtype=np.int64) * DT_NS
    phases = tuple(dict.fromkeys(found.phase))
    pictures = _draw(found, renderer) if renderer is not None else {}
    return Episode(
        task=found.task,
        instruction=world.task.instruction,
        seed=found.seed,
        success=found.success,
        source=SOURCE,
        t_ns=t_ns,
        state=found.state,
        action=found.q,
        target=np.vstack([motion.rest(), found.q[:-1]]),
        objects=found.objects,
        wanted=None if found.wanted is found.q else found.wanted,
        phase=np.array([phases.index(name) for name in found.phase], np.uint8),
        phases=phases,
        images=pictures,
        image_t_ns=dict.fromkeys(pictures, t_ns),
        versions=versions(),
        notes={DIFFICULTY: json.dumps(asdict(world.difficulty)), "goals": ", ".join(found.goals)},
    )


def difficulty_of(episode: Episode) -> Difficulty:
    """Of the cell that `episode` was shown in. Raises EpisodeError when it was not shown in one."""
    if episode.source != SOURCE and DIFFICULTY not in episode.notes:
        return Difficulty()
    try:
        return Difficulty(**json.loads(episode.notes[DIFFICULTY]))
    except (KeyError, TypeError, ValueError) as error:
        raise EpisodeError(f"notes.{DIFFICULTY}: not the difficulty of an episode of the cell: {error}") from error


def is_done(path: Path, difficulty: Difficulty, with_images: bool) -> bool:
    """Whether `path` holds the episode that would be written there.

    Raises EpisodeError when it holds one of another difficulty: a data set is of one kind.
    """
    if not path.exists():
        return False
    try:
        old = read(path)
    except EpisodeError:
        return False  # cut short by a power cut: made again
    if difficulty_of(old) != difficulty:
        raise EpisodeError(f"{path} is of another difficulty ({old.notes.get(DIFFICULTY)}); choose another folder")
    return bool(old.images) or not with_images


def versions() -> dict[str, str]:
    """Of what an episode of the cell depends on."""
    try:
        own = version(PACKAGE)
    except PackageNotFoundError:  # run from its sources
        own = "unknown"
    return {PACKAGE: own, "mujoco": mujoco.__version__, "numpy": np.__version__}


def _draw(found: Demonstration, renderer: Renderer) -> dict[str, tuple[bytes, ...]]:
    rows = [renderer.render(positions) for positions in found.positions]
    return {camera: tuple(images.to_jpeg(row[camera]) for row in rows) for camera in CAMERAS}
