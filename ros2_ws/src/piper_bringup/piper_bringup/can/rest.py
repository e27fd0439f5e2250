"""Whether emulated arms stand where episodes begin: in simulation nothing is placed anew around an arm elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from piper_bringup.data.names import ARM_JOINTS, REST_RAD

TOLERANCE_RAD = 0.1


class Refused(ValueError):
    """An episode cannot be set up now; the message says why."""


def refuse_away(q_rad: Mapping[str, Sequence[float]]) -> None:
    """q_rad: arm -> its six joints. Raises Refused while one is further than 0.1 rad from rest."""
    for arm, q in q_rad.items():
        away = np.abs(np.asarray(q) - REST_RAD)
        worst = int(np.argmax(away))
        if away[worst] > TOLERANCE_RAD:
            raise Refused(
                f"{ARM_JOINTS[worst]} of the {arm} arm is {away[worst]:.2f} rad from rest, more than "
                f"{TOLERANCE_RAD}: park the arms first (/piper_driver/park)"
            )
