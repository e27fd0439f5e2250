"""Where virtual CAN segments live: a folder of sockets and of locks that tell who hosts them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import TextIO

DIRECTORY_VARIABLE = "SMP_VCAN_DIR"
PATIENCE_S = 0.2
_PATH_LIMIT = 107  # sun_path holds 108 bytes with the closing NUL
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class SegmentError(OSError):
    """A segment cannot be hosted or joined; the message says which and why."""


def directory() -> Path:
    """Where segments live: $SMP_VCAN_DIR, or a folder of this user under the system's temporary one."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    return Path(chosen) if chosen else Path(tempfile.gettempdir()) / f"smp_vcan-{os.getuid()}"


def check_private(folder: Path) -> None:
    """Raises SegmentError when the default folder belongs to somebody else or lets others in: anyone who can
    write there could move the arms. A folder named by $SMP_VCAN_DIR is its owner's business."""
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    if DIRECTORY_VARIABLE not in os.environ and (status.st_uid != os.getuid() or mode & 0o077):
        raise SegmentError(
            f"{folder} must belong to user {os.getuid()} with mode 700, found user {status.st_uid} with mode "
            f"{mode:o}: remove it or set {DIRECTORY_VARIABLE}"
        )


def make_directory() -> None:
    """Makes `directory()` with mode 0700 when it is missing. Raises as `check_private`."""
    folder = directory()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(folder)


def socket_path(channel: str) -> Path:
    """Socket of segment `channel`. Raises SegmentError for a name or a path that cannot be one."""
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise SegmentError(f"segment name {channel!r}: use letters, digits, '_', '-' and '.', such as can_left")
    path = directory() / f"{channel}.sock"
    size = len(os.fsencode(path))
    if size > _PATH_LIMIT:
        raise SegmentError(
            f"socket path {path} has {size} bytes, the system allows {_PATH_LIMIT}: "
            f"set {DIRECTORY_VARIABLE} to a shorter folder"
        )
    return path


def live_segments() -> list[str]:
    """Names of the segments that are hosted and up now, sorted."""
    names = []
    for path in sorted(directory().glob("*.sock")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(os.fspath(path))
            except OSError:
                continue  # its host died, hangs, or is just starting
            names.append(path.stem)
    return names


def claim(path: Path, patience_s: float = PATIENCE_S) -> TextIO:
    """Locked file that says who hosts; the kernel releases the lock with the process, however it ends.

    Raises SegmentError when another host holds it, after a moment of patience: a starting host takes the locks
    of dead ones for an instant (`sweep`).
    """
    deadline = time.monotonic() + patience_s
    while True:
        lock_file = open(_lock_path(path), "a+", encoding="ascii")  # noqa: SIM115 - held while hosting
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.seek(0)
            owner = lock_file.read() or "unknown"
            lock_file.close()
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            raise SegmentError(f"segment {path.stem} is already hosted by process {owner}") from None
        if _still_there(lock_file):
            break
        lock_file.close()  # its owner removed it between our opening and our locking
    lock_file.truncate(0)
    lock_file.write(str(os.getpid()))
    lock_file.flush()
    return lock_file


def release(path: Path, lock_file: TextIO) -> None:
    """Ends `claim`."""
    _lock_path(path).unlink(missing_ok=True)
    lock_file.close()


def sweep(folder: Path) -> None:
    """Removes what hosts left that died without closing; a live host holds its lock."""
    for path in folder.glob("*.sock"):
        with contextlib.suppress(SegmentError):
            lock_file = claim(path, patience_s=0.0)
            path.unlink(missing_ok=True)
            release(path, lock_file)


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _still_there(lock_file: TextIO) -> bool:
    try:
        return os.path.samestat(os.fstat(lock_file.fileno()), os.stat(lock_file.name))
    except FileNotFoundError:
        return False
