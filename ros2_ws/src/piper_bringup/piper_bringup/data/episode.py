"""Episode files: one demonstration, one HDF5 file.

Layout, version 1. T rows, N bytes of JPEG; order of columns and units as in `Episode`. Root attributes: `format` is
"smp-episode", `format_version` is 1. Text is UTF-8 of fixed length. Nothing is compressed or chunked.

    name                       shape        type    unit     holds
    /task                      ()           text             name of the task
    /instruction               ()           text             what the robot was told, in words
    /source                    ()           text             one of SOURCES: who made it
    /seed                      ()           int64            -1: none
    /success                   ()           uint8            0 or 1
    /dt_ns                     ()           int64   ns       50 000 000
    /t_ns                      (T,)         int64   ns       time of each row, an even grid of dt_ns
    /state                     (T, 14)      float64 rad, m   measured at t_ns[i]
    /target                    (T, 14)      float64 rad, m   set-point in force at t_ns[i]
    /action                    (T, 14)      float64 rad, m   set-point due at t_ns[i] + dt_ns: target[i + 1]
    /objects            maybe  (T, 4, 14)   float64 m        ground truth, cell.world.SLOT_FIELDS
    /phase              maybe  (T,)         uint8            row of /phases
    /wanted             maybe  (T, 14)      float64 rad, m   where a demonstrator who is pushed meant action[i] to be
    /phases             maybe  (P,)         text             what the expert was doing
    /images/<camera>/jpeg      (N,)         uint8            T JPEG files, one behind the other
    /images/<camera>/offsets   (T + 1,)     int64   bytes    image i is jpeg[offsets[i]:offsets[i + 1]]
    /images/<camera>/t_ns      (T,)         int64   ns       when it was taken
    /versions                  ()           text             JSON object, software: version
    /notes                     ()           text             JSON object, name: text

Times and library versions are not stored by HDF5, so equal episodes are equal files, byte for byte. The images of one
camera are one buffer: small, and a reader of states never touches them.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from piper_bringup.data import episode_fields as fields
from piper_bringup.data.episode_files import write_whole
from piper_bringup.data.episode_rules import SOURCES, Episode, EpisodeError, check, check_images

__all__ = ["FORMAT", "FORMAT_VERSION", "SOURCES", "Episode", "EpisodeError", "check", "check_images", "read", "write"]

FORMAT, FORMAT_VERSION = "smp-episode", 1

_HDF5_FORMAT = ("v108", "v110")  # of the file's structures, so that another HDF5 library writes the same bytes
_TEXTS = ("task", "instruction", "source")
_TABLES = ("t_ns", "state", "target", "action")
_MAYBE = ("objects", "phase", "wanted")


def write(path: Path | str, episode: Episode) -> None:
    """Write `episode` to `path`, whole or not at all; the folder is made, an older file replaced.

    Equal episodes give equal files, byte for byte.

    Raises:
        EpisodeError: the episode breaks a rule of `check`, or the file cannot be written (disk full, no permission);
            nothing is left behind.
    """
    path = Path(path)
    try:
        check(episode)
    except EpisodeError as error:
        raise EpisodeError(f"{path} not written: {error}") from error
    write_whole(path, _encode(episode))


def read(path: Path | str, images: bool = True) -> Episode:
    """Read and check the episode at `path`; without `images` those stay unread, and the episode has none.

    Raises:
        EpisodeError: no such file, not HDF5, truncated, another layout, or a field that breaks a rule; names file,
            field and what was expected. Images are not decoded: `check_images` does.
    """
    with fields.opened(Path(path)) as file:
        episode = _decode(file, images)
        check(episode)
    return episode


def is_ours(file: h5py.File) -> bool:
    """Does this open file claim to be an episode of this layout?"""
    return fields.text_of(file.attrs.get("format")) == FORMAT


def _encode(episode: Episode) -> bytes:
    """The file as bytes; made in memory, where HDF5 cannot run out of disk half way."""
    with h5py.File("episode", "w", driver="core", backing_store=False, libver=_HDF5_FORMAT) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["format_version"] = FORMAT_VERSION
        for name in _TEXTS:
            _put_text(file, name, getattr(episode, name))
        file["seed"], file["success"], file["dt_ns"] = episode.seed, np.uint8(episode.success), episode.dt_ns
        for name in _TABLES:
            file[name] = getattr(episode, name)
        for name in _MAYBE:
            if getattr(episode, name) is not None:
                file[name] = getattr(episode, name)
        if episode.phases:
            _put_text(file, "phases", episode.phases)
        for camera, frames in sorted(episode.images.items()):
            group = file.create_group(f"images/{camera}")
            group["jpeg"] = np.frombuffer(b"".join(frames), np.uint8)
            group["offsets"] = np.cumsum([0, *map(len, frames)], dtype=np.int64)
            group["t_ns"] = episode.image_t_ns[camera]
        for name in ("versions", "notes"):
            _put_text(file, name, json.dumps(dict(getattr(episode, name)), sort_keys=True, ensure_ascii=False))
        file.flush()
        return file.id.get_file_image()


def _put_text(file: h5py.File, name: str, text: str | tuple[str, ...]) -> None:
    # Fixed length: variable-length text lies in a heap of its own, which costs 4 kB a file.
    texts = (text,) if isinstance(text, str) else text
    encoded = [one.encode() for one in texts]
    kind = h5py.string_dtype("utf-8", max(map(len, encoded)) or 1)
    array = np.array(encoded, dtype=kind)
    file.create_dataset(name, data=array[0] if isinstance(text, str) else array, dtype=kind)


def _decode(file: h5py.File, images: bool) -> Episode:
    if not is_ours(file):
        raise EpisodeError(f"attribute format: not an episode of ours; expected '{FORMAT}'")
    if (version := file.attrs.get("format_version")) != FORMAT_VERSION:
        raise EpisodeError(f"attribute format_version: {version}; this software reads {FORMAT_VERSION}")
    cameras = tuple(fields.group(file, "images")) if images and "images" in file else ()
    return Episode(
        **{name: fields.text(file, name) for name in _TEXTS},
        **{name: fields.array(file, name) for name in _TABLES},
        **{name: fields.array(file, name) for name in _MAYBE if name in file},
        seed=fields.integer(file, "seed"),
        success=bool(fields.integer(file, "success")),
        dt_ns=fields.integer(file, "dt_ns"),
        phases=tuple(fields.text_of(one) for one in fields.array(file, "phases")) if "phases" in file else (),
        images={camera: fields.frames(file, f"images/{camera}") for camera in cameras},
        image_t_ns={camera: fields.array(file, f"images/{camera}/t_ns") for camera in cameras},
        versions=fields.texts(file, "versions"),
        notes=fields.texts(file, "notes"),
    )
