"""Where the episodes of a data set lie: <root>/<task>/<name>.hdf5, or any folder, at any depth; written whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from piper_bringup.data.episode_rules import EpisodeError

PATTERN = "*.hdf5"


def find(paths: Iterable[Path]) -> list[Path]:
    """Every episode file among `paths`: files as they are, folders with all below them in order of their names.

    Raises:
        EpisodeError: no path at all, one that is not there, or a folder without any episode.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise EpisodeError("no episodes named; expected files or folders")
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise EpisodeError(f"{path}: no such file or folder")
        files = sorted(path.rglob(PATTERN)) if path.is_dir() else [path]
        if not files:
            raise EpisodeError(f"{path}: no {PATTERN} in it or below")
        found += files
    return list(dict.fromkeys(found))


def write_whole(path: Path, content: bytes) -> None:
    """`content` to `path`, whole or not at all; the folder is made, an older file replaced. Raises EpisodeError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise EpisodeError(f"{path} not written ({len(content)} bytes): {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
