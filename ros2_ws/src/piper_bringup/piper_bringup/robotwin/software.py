"""Which software a worker runs: the commit of a checkout, the version of a package.

Python 3.8, standard library only: workers import it.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path


def commit(root: Path) -> str | None:
    """Of the git checkout at `root`; None where it is none."""
    if not (root / ".git").exists():
        return None  # a copy without its history, maybe inside another repository
    line = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(line, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def version(package: str) -> str | None:
    """Of an installed package; None where it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
