"""What every script here shares: a table, and with it on what, when and how it was measured."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
_STOLEN, _ALL = 8, slice(1, 9)  # columns of /proc/stat


def milliseconds(samples_ns: Sequence[int] | np.ndarray) -> tuple[str, str, str]:
    """p50, p99 and maximum of durations in ns, as text in ms; dashes without samples."""
    if len(samples_ns) == 0:
        return "-", "-", "-"
    ms = np.asarray(samples_ns, dtype=np.float64) / 1e6
    return tuple(f"{value:.2f}" for value in (*np.percentile(ms, (50, 99)), ms.max()))


def markdown(columns: Sequence[str], rows: Sequence[Sequence]) -> str:
    """A Markdown table padded so that a terminal shows it as well."""
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def conclude(title: str, columns: Sequence[str], rows: Sequence[Sequence], notes: str, save: bool) -> None:
    """Print the result; with `save` write it to results/<script>.md, over the one before."""
    script = Path(sys.argv[0]).stem
    text = f"# {title}\n\n{markdown(columns, rows)}\n\n{notes}\n\n{circumstances()}\n"
    print(text)
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{script}.md").write_text(text)


def circumstances() -> str:
    """Commit, machine, date and command, one line each."""
    command = shlex.join(["python", "-m", f"bench.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    lines = (
        f"command: `{command}`",
        f"commit: {commit()}",
        f"machine: {_cpu()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, "
        f"{_stolen():.1%} of their time given to other machines of the host",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
    return "\n".join(f"- {line}" for line in lines)


def commit() -> str:
    """Short hash of what lies here; says so where it was changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        ).stdout.strip()

    head = git("rev-parse", "--short", "HEAD") or "none"
    changed = git("status", "--porcelain", "--", ".", f":(exclude){RESULTS.relative_to(ROOT)}")
    return head + (" with changes" if changed else "")


def _cpu_time() -> tuple[int, int]:
    """Time of all cores that the hypervisor kept, and all their time."""
    columns = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(columns[_STOLEN]), sum(map(int, columns[_ALL]))


_AT_START = _cpu_time()


def _stolen() -> float:
    """Share since this program began: on a virtual machine, what no measurement here is to blame for."""
    stolen, whole = (now - before for now, before in zip(_cpu_time(), _AT_START, strict=True))
    return stolen / max(1, whole)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
