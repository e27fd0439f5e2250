"""One demonstration in memory, and the rules that every demonstration keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data import names
from piper_bringup.data.images import decode_jpeg

SOURCES = ("cell", "rosbag", "robotwin-stable", "robotwin-v1", "aloha")
OBJECT_SLOTS = (4, 14)  # objects of one row, fields of one object: cell.world.SLOTS and SLOT_FIELDS
SAME_TARGET = 1e-9  # rad or m; action[i] and target[i + 1] are one set-point, written twice
MAX_PHASES = 256  # phase is a byte

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


class EpisodeError(RuntimeError):
    """An episode, or a file of one, is not what it has to be: names the file, the field and what is valid."""


@dataclass(frozen=True, eq=False)
class Episode:
    """T rows of one demonstration, row i at t_ns[i] = t_ns[0] + i * dt_ns; columns in the order of names.JOINTS.

    state: (T, 14) measured at t_ns[i], rad and m of gripper opening.
    target: (T, 14) set-point in force at t_ns[i].
    action: (T, 14) set-point due at t_ns[i] + dt_ns, so action[i] == target[i + 1].
    objects: (T, 4, 14) ground truth of the cell, one row an object (cell.world.SLOT_FIELDS), or None.
    phase: (T,) index into `phases`, what the expert was doing, or None.
    wanted: (T, 14) where a demonstrator who is pushed off the way wanted to be at t_ns[i] + dt_ns, or None: action.
    images: camera of names.CAMERAS -> T JPEGs (RGB as every JPEG reader gives it); empty: state only.
    image_t_ns: camera -> (T,) when each of them was taken.
    seed: -1 where there is none. success: by the task's own measure, or as the operator judged.
    versions: software -> version. notes: anything else worth keeping, as text.
    """

    task: str
    instruction: str
    seed: int
    success: bool
    source: str
    t_ns: Times
    state: Floats
    action: Floats
    target: Floats
    objects: Floats | None = None
    phase: NDArray[np.uint8] | None = None
    phases: tuple[str, ...] = ()
    wanted: Floats | None = None
    images: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    image_t_ns: Mapping[str, Times] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    dt_ns: int = names.DT_NS

    def __len__(self) -> int:
        """T."""
        return len(self.t_ns)


def check(episode: Episode) -> None:
    """Raise EpisodeError naming the first field that breaks a rule; images are not decoded."""
    _check_text(episode)
    _check_grid(episode.t_ns, episode.dt_ns)
    rows, dof = len(episode.t_ns), len(names.JOINTS)
    for name in ("state", "action", "target"):
        _array(name, getattr(episode, name), (rows, dof), np.float64)
    _check_targets(episode.action, episode.target)
    if episode.objects is not None:
        _array("objects", episode.objects, (rows, *OBJECT_SLOTS), np.float64)
    if episode.wanted is not None:
        _array("wanted", episode.wanted, (rows, dof), np.float64)
    _check_phase(episode, rows)
    _check_cameras(episode, rows)


def check_images(episode: Episode) -> None:
    """Decode every image; raise EpisodeError naming camera and row of one that is damaged or of another size."""
    for camera, frames in episode.images.items():
        shape = None
        for row, jpeg in enumerate(frames):
            try:
                decoded = decode_jpeg(jpeg).shape
            except ValueError as error:
                raise EpisodeError(f"images/{camera} row {row}: {error}") from error
            shape = shape or decoded
            if decoded != shape:
                raise EpisodeError(f"images/{camera} row {row}: {_size(decoded)}, the rows before are {_size(shape)}")


def _check_text(episode: Episode) -> None:
    for name in ("task", "instruction", "source"):
        if not _is_text(getattr(episode, name)):
            raise EpisodeError(f"{name}: expected text, found {getattr(episode, name)!r}")
    if not episode.task:
        raise EpisodeError("task: empty; expected the name of the task")
    if episode.source not in SOURCES:
        raise EpisodeError(f"source: '{episode.source}' is unknown; valid: {', '.join(SOURCES)}")
    if isinstance(episode.seed, bool) or not isinstance(episode.seed, int) or episode.seed < -1:
        raise EpisodeError(f"seed: expected an integer from 0, or -1 for none, found {episode.seed!r}")
    if not isinstance(episode.success, bool):
        raise EpisodeError(f"success: expected True or False, found {episode.success!r}")
    for name in ("versions", "notes"):
        for key, value in getattr(episode, name).items():
            if not _is_text(key) or not _is_text(value):
                raise EpisodeError(f"{name}: expected text to text, found {key!r}: {value!r}")


def _is_text(value: object) -> bool:
    """Text that a file can hold: HDF5 ends a text at a NUL, and half a surrogate pair has no UTF-8."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _check_grid(t_ns: Times, dt_ns: int) -> None:
    if dt_ns != names.DT_NS:
        raise EpisodeError(f"dt_ns: {dt_ns}; rows are {names.DT_NS} ns apart everywhere")
    if not isinstance(t_ns, np.ndarray) or t_ns.dtype != np.int64 or t_ns.ndim != 1 or len(t_ns) < 2:
        raise EpisodeError(f"t_ns: expected int64 (T,) with at least 2 rows, found {_kind(t_ns)}")
    uneven = np.flatnonzero(np.diff(t_ns) != dt_ns)
    if len(uneven):
        row = int(uneven[0])
        raise EpisodeError(
            f"t_ns: rows {row} and {row + 1} are {t_ns[row + 1] - t_ns[row]} ns apart; every step is {dt_ns} ns"
        )


def _array(name: str, array: object, shape: tuple[int, ...], dtype: type) -> None:
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise EpisodeError(f"{name}: expected {np.dtype(dtype).name} {shape}, found {_kind(array)}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, *rest = bad[0].tolist()
        where = names.JOINTS[rest[0]] if array.ndim == 2 else str(rest)
        raise EpisodeError(f"{name} row {row}, {where}: {array[tuple(bad[0])]}; every value has to be finite")


def _check_targets(action: Floats, target: Floats) -> None:
    apart = np.abs(action[:-1] - target[1:])
    bad = np.argwhere(apart > SAME_TARGET)
    if len(bad):
        row, column = bad[0].tolist()
        raise EpisodeError(
            f"action row {row}, {names.JOINTS[column]}: {action[row, column]:.6f}, but target row {row + 1} is "
            f"{target[row + 1, column]:.6f}; an action is the target of the next row"
        )


def _check_phase(episode: Episode, rows: int) -> None:
    if not all(_is_text(phase) and phase for phase in episode.phases) or len(episode.phases) > MAX_PHASES:
        raise EpisodeError(f"phases: expected at most {MAX_PHASES} names, found {episode.phases!r}")
    if episode.phase is None:
        if episode.phases:
            raise EpisodeError("phases: named, but there is no phase; expected both or neither")
        return
    _array("phase", episode.phase, (rows,), np.uint8)
    highest = int(episode.phase.max())
    if highest >= len(episode.phases):
        raise EpisodeError(f"phase: {highest} has no name; phases names {len(episode.phases)}")


def _check_cameras(episode: Episode, rows: int) -> None:
    if set(episode.images) != set(episode.image_t_ns):
        raise EpisodeError(
            f"image_t_ns: has {_listed(episode.image_t_ns)}, images has {_listed(episode.images)}; "
            "expected the same cameras"
        )
    for camera, frames in episode.images.items():
        if camera not in names.CAMERAS:
            raise EpisodeError(f"images: camera '{camera}' is unknown; valid: {', '.join(names.CAMERAS)}")
        if len(frames) != rows:
            raise EpisodeError(f"images/{camera}: {len(frames)} images for {rows} rows; expected one a row")
        for row, jpeg in enumerate(frames):
            if not isinstance(jpeg, bytes) or jpeg[:2] != b"\xff\xd8":
                raise EpisodeError(f"images/{camera} row {row}: not the bytes of a JPEG")
        _array(f"image_t_ns/{camera}", episode.image_t_ns[camera], (rows,), np.int64)
        if (np.diff(episode.image_t_ns[camera]) < 0).any():
            raise EpisodeError(f"image_t_ns/{camera}: runs backwards; expected times that never decrease")


def _kind(value: object) -> str:
    return f"{value.dtype.name} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} px"


def _listed(cameras: Mapping[str, object]) -> str:
    return ", ".join(cameras) or "none"
