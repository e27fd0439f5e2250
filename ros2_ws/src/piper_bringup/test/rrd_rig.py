"""What a Rerun file holds, read back by Rerun's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def rows(path: Path, entity: str, component: str) -> list[tuple[float, object]]:
    """Time [s] and value of every row of a component, in order of time."""
    import rerun as rr

    found = []
    for chunk in rr.chunk.RrdReader(path).stream().to_chunks():
        if chunk.entity_path == entity and not chunk.is_static:
            batch = chunk.to_record_batch()
            times = np.asarray(batch.column("time").cast("int64")) * 1e-9
            found += zip(times, batch.column(component).to_pylist(), strict=True)
    return sorted(found, key=lambda row: row[0])


def scalars(path: Path, entity: str) -> tuple[list[float], list[float]]:
    """Times [s] and values of an entity with one number a row."""
    found = rows(path, entity, "Scalars:scalars")
    return [t for t, _ in found], [value for _, (value,) in found]
