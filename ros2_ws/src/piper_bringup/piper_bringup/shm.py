"""Shared-memory files that a killed Fast DDS process leaves in /dev/shm: found and removed."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

# Segments, ports and their _el / _sl lock files; sem.*_mutex guard the ports.
NAME = re.compile(r"(sem\.)?(fastrtps|fastdds)_[0-9a-z_]+")
YOUNG_S = 2.0  # a file this young may not be mapped yet by the process that makes it


def sweep(folder: Path = Path("/dev/shm"), proc: Path = Path("/proc"), young_s: float = YOUNG_S) -> list[str]:
    """Remove this user's Fast DDS files that no living process maps, holds open or locks; their names."""
    candidates = [path for path in _segments(folder) if _abandoned(path, young_s)]
    if not candidates:
        return []
    used = set(_used(proc))
    dead = {path.name for path in candidates if str(path) not in used}
    # A port and its lock and semaphore live and die together.
    alive_stems = {_stem(path.name) for path in _segments(folder) if path.name not in dead}
    removed = sorted(name for name in dead if _stem(name) not in alive_stems)
    for name in removed:
        (folder / name).unlink(missing_ok=True)
    return removed


def _stem(name: str) -> str:
    return re.sub(r"^sem\.|_(el|sl|mutex)$", "", name).removesuffix("_mutex")


def _segments(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if NAME.fullmatch(path.name) and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    try:
        return path.stat(follow_symlinks=False).st_uid == os.getuid()
    except FileNotFoundError:  # removed meanwhile, by its process or by another run that begins
        return False


def _abandoned(path: Path, young_s: float) -> bool:
    """Old enough, and nobody has locked it: a lock is also held by processes that /proc does not show us."""
    try:
        if time.time() - path.stat().st_ctime < young_s:
            return False
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def _used(proc: Path) -> Iterator[str]:
    """Paths below /dev/shm that a process maps or holds open, as far as /proc lets us see."""
    for process in proc.glob("[0-9]*"):
        try:
            maps = (process / "maps").read_text()
            yield from (line[line.index("/") :] for line in maps.splitlines() if "/" in line)
            yield from (os.readlink(link) for link in (process / "fd").iterdir())
        except OSError:  # ended meanwhile, or another user's
            continue
