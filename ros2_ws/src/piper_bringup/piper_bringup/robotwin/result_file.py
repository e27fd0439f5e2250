"""The file of an evaluation: whole at any moment, also while it is written and when the process is killed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def place(folder: Path) -> Path:
    """A file of its own for an evaluation that begins now. Raises OSError where there can be none."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"robotwin_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for suffix in ("", *(f"_{i}" for i in range(2, 100))):
        path = folder / f"{stem}{suffix}.json"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{folder} has a hundred files {stem}*.json")


def write(path: Path, result: dict[str, Any]) -> None:
    """In place of what was there. Raises OSError."""
    partial = path.with_name(f".{path.name}")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(result, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
