"""What goes into a simulation and what passes in it: an action that came over the socket, steps that are counted.

Python 3.8 and numpy only: workers import it.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def row(action: Any, size: int) -> np.ndarray:
    """(size,) float64 of an action. Raises ValueError for another shape and for what is not finite."""
    found = np.asarray(action, np.float64)
    if found.shape != (size,) or not np.isfinite(found).all():
        raise ValueError(f"an action has {size} finite numbers here, found {found.tolist()}")
    return found


def count_steps(scene: Any, counted: Any) -> None:
    """Makes every `scene.step()` call `counted()` afterwards."""
    step = scene.step

    def stepping(*arguments: Any, **named: Any) -> Any:
        result = step(*arguments, **named)
        counted()
        return result

    scene.step = stepping
