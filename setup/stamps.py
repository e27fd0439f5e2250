"""Stamps: what a finished step was made from. Standard library only.

A step removes its stamp before it begins and writes it when it is complete, so that a stamp vouches for the
whole step. A step that finds no stamp begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

Stamp = dict[str, str]


def digest(files: Iterable[Path]) -> str:
    """SHA-256 over names and contents, in the order given."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def read(path: Path) -> Stamp:
    """The stamp at path; empty where there is none, or none that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write(path: Path, stamp: Stamp) -> None:
    """Write a stamp, whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(stamp, indent=1) + "\n")
    part.replace(path)
