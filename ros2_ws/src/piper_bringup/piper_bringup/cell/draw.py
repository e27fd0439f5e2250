"""What the cameras saw of an episode of the cell that was written without pictures: it is played again, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from piper_bringup.cell import record
from piper_bringup.cell.expert import play
from piper_bringup.cell.render import Renderer
from piper_bringup.cell.task import Difficulty
from piper_bringup.cell.world import PhysicsError, World
from piper_bringup.data import images
from piper_bringup.data.episode import Episode, EpisodeError

SAME_M = 1e-3  # objects may be off by: a quarter of a pixel of what policies see of a camera

_worlds: dict[tuple[str, Difficulty], tuple[World, Renderer]] = {}  # of this process


def drawn(episode: Episode, cameras: Sequence[str], every: int = 1) -> dict[str, tuple[bytes, ...]]:
    """Camera -> JPEG of rows 0, every, 2 every, ... of `episode`, as `demonstrate --images` writes them.

    Raises EpisodeError for an episode that is not of the cell, or that goes another way here than when it was
    written; NoGraphics where nothing can be drawn.
    """
    if episode.seed < 0 or episode.objects is None:
        raise EpisodeError("no pictures, and it cannot be played again: only episodes of the cell can be drawn")
    world, renderer = _stage(episode)
    world.reset(episode.seed)
    row, shots = count(), []

    def look() -> None:
        if (i := next(row)) % every:
            return
        if (off := float(np.abs(world.slots() - episode.objects[i]).max())) > SAME_M:
            raise EpisodeError(
                f"objects row {i}: {off:.3g} m off where they are when it is played here; it was written by "
                f"MuJoCo {episode.versions.get('mujoco', 'unknown')} on another machine: make it again here"
            )
        shots.append(renderer.render(world.positions(), tuple(cameras)))

    try:
        play(world, episode.action, start=episode.target[0], look=look)
    except PhysicsError as error:
        raise EpisodeError(f"no pictures, and it cannot be played again: {error}") from error
    return {camera: tuple(images.to_jpeg(shot[camera]) for shot in shots) for camera in cameras}


def _stage(episode: Episode) -> tuple[World, Renderer]:
    kind = episode.task, record.difficulty_of(episode)
    if kind not in _worlds:
        try:
            world = World(episode.task, episode.seed, kind[1])
        except ValueError as error:
            raise EpisodeError(f"no pictures, and it cannot be played again: {error}") from error
        _worlds[kind] = world, Renderer(world.model)
    return _worlds[kind]
