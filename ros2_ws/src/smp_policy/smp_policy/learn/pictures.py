"""Pictures of a data set as the policy sees them, made once into one file that training maps into memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise, repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from piper_bringup.cell import record
from piper_bringup.cell.draw import drawn
from piper_bringup.data.episode import Episode, EpisodeError, read
from piper_bringup.data.images import POLICY_SIDE_PX, decode_jpeg, policy_image
from smp_policy.learn.data import Demonstrations, of_rows

PIXELS, KEY = "pictures.npy", "pictures.json"


def pictures(
    paths: Sequence[Path], cameras: Sequence[str], folder: Path, processes: int, every: int = 1
) -> NDArray[np.uint8]:
    """(R, cameras, 3, px, px) of rows 0, every, ... of each of ``paths``; read-only, on disk in ``folder``.

    Made once for a list of files: 83 kB a row with three cameras. Episodes of the cell without pictures are drawn.
    Raises EpisodeError for an episode that lacks one of the cameras or has a damaged picture, OSError for a full disk,
    NoGraphics where nothing can be drawn.
    """
    key = _key(paths, cameras, every)
    if _key_there(folder) != key:
        _make(paths, cameras, folder, processes, every)
        (folder / KEY).write_text(json.dumps(key))
    return np.load(folder / PIXELS, mmap_mode="c")  # torch warns of "r"


def decoded(path: Path, cameras: Sequence[str], every: int = 1) -> NDArray[np.uint8]:
    """`seen_in` of the episode in a file."""
    try:
        return seen_in(read(path), cameras, every)
    except EpisodeError as error:
        raise EpisodeError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def seen_in(episode: Episode, cameras: Sequence[str], every: int = 1) -> NDArray[np.uint8]:
    """(T', cameras, 3, px, px) of rows 0, every, ... of an episode. Raises EpisodeError, NoGraphics."""
    frames = shown(episode, cameras, every)
    rows = np.empty((len(frames[cameras[0]]), len(cameras), 3, POLICY_SIDE_PX, POLICY_SIDE_PX), np.uint8)
    for c, camera in enumerate(cameras):
        for t, jpeg in enumerate(frames[camera]):
            try:
                rows[t, c] = policy_image(decode_jpeg(jpeg)).transpose(2, 0, 1)
            except ValueError as error:
                raise EpisodeError(f"images/{camera} row {t * every}: {error}") from error
    return rows


def shown(episode: Episode, cameras: Sequence[str], every: int = 1) -> dict[str, Sequence[bytes]]:
    """Camera -> JPEG of rows 0, every, ...; drawn where an episode of the cell has none. Raises as `seen_in`."""
    if not episode.images and episode.source == record.SOURCE:
        return drawn(episode, cameras, every)
    if missing := [camera for camera in cameras if camera not in episode.images]:
        there = ", ".join(episode.images) or "none"
        raise EpisodeError(f"images/{missing[0]}: missing in an episode of {episode.task}, which has {there}")
    return {camera: episode.images[camera][::every] for camera in cameras}


def numbered(data: Demonstrations, every: int) -> Demonstrations:
    """``picture`` counts as in ``pictures(data.paths, ..., every)``; -1 in rows that are left out there.

    data: as loaded, all of ``data.paths``. Raises ValueError for a part of them.
    """
    if len(data) != len(data.paths):
        raise ValueError(f"{len(data)} of {len(data.paths)} episodes: thin them out before they are split")
    lengths = np.diff(data.picture[data.first[:-1]])  # of whole episodes, but for the last
    begins = np.cumsum([0, *-(-lengths // every)])
    picture = np.full(len(data.picture), -1)
    for begin, (first, end) in zip(begins, pairwise(data.first), strict=True):
        kept = picture[first:end:every]
        kept[:] = begin + np.arange(len(kept))
    return replace(data, picture=picture)


def thinned(data: Demonstrations, every: int) -> Demonstrations:
    """Rows 0, every, ... of each episode, ``picture`` as `numbered`. Raises as that."""
    data = numbered(data, every)
    rows = np.flatnonzero(data.picture >= 0)
    return replace(of_rows(data, rows), first=np.searchsorted(rows, data.first))


def _make(paths: Sequence[Path], cameras: Sequence[str], folder: Path, processes: int, every: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY).unlink(missing_ok=True)
    lengths = [-(-len(read(path, images=False)) // every) for path in paths]
    shape = (sum(lengths), len(cameras), 3, POLICY_SIDE_PX, POLICY_SIDE_PX)
    file = np.lib.format.open_memmap(folder / PIXELS, "w+", np.uint8, shape)
    row = 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = pool.map(decoded, paths, repeat(tuple(cameras)), repeat(every))
        for rows in tqdm(waiting, "pictures", total=len(paths), unit="file", disable=None):
            file[row : row + len(rows)] = rows
            row += len(rows)
    file.flush()


def _key(paths: Sequence[Path], cameras: Sequence[str], every: int) -> dict[str, object]:
    files = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    return {"files": hashlib.sha256(json.dumps(files).encode()).hexdigest(), "cameras": list(cameras), "every": every}


def _key_there(folder: Path) -> object:
    try:
        return json.loads((folder / KEY).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
