"""When a run's first chunk moves the arms: from its observation to a changed set-point, to changed feedback. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data.names import ARM_DOF, ARMS

SET_POINT_RAD = 1e-6  # a holding driver sends the very same numbers
FEEDBACK_RAD = 2e-4  # a servo at rest in the cell's physics moves by less
STANDS_NS = 100_000_000  # before the first chunk nothing moves for so long, or the sample is none
WITHIN_NS = 1_000_000_000
Stamped = Sequence[tuple[int, NDArray[np.float64]]]


class FirstMotion(NamedTuple):
    """System clock, ns."""

    observed_ns: int
    set_point_ns: int
    feedback_ns: int


def first_motion(observed_ns: int, commands: Mapping[str, Stamped], states: Stamped) -> FirstMotion | None:
    """Of a run whose first chunk is of `observed_ns`; None where arms did not stand before, or did not move.

    commands: arm -> stamped set-points (7,). states: stamped measured positions (14,).
    """
    found = []
    for arm, stamped in commands.items():
        first = ARMS.index(arm) * ARM_DOF
        sent_ns = _changed(stamped, observed_ns, observed_ns, SET_POINT_RAD)
        if sent_ns is None:
            continue
        own = [(t_ns, q[first : first + ARM_DOF]) for t_ns, q in states]
        moved_ns = _changed(own, sent_ns, observed_ns, FEEDBACK_RAD)
        if moved_ns is not None:
            found.append(FirstMotion(observed_ns, sent_ns, moved_ns))
    return min(found, key=lambda motion: motion.set_point_ns, default=None)


def _changed(stamped: Stamped, since_ns: int, stood_ns: int, enough: float) -> int | None:
    """First stamp from `since_ns` on that differs from how things stood until `stood_ns`."""
    before = np.array([q for t_ns, q in stamped if stood_ns - STANDS_NS <= t_ns < stood_ns])
    if len(before) < 2 or np.ptp(before, axis=0).max() > enough:
        return None
    after = ((t_ns, q) for t_ns, q in stamped if since_ns <= t_ns <= stood_ns + WITHIN_NS)
    return next((t_ns for t_ns, q in after if np.abs(q - before[-1]).max() > enough), None)
