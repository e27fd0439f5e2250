"""The rollout's driver beside the real one, on emulated arms: they follow and refuse the same chunks."""

from __future__ import annotations

import numpy as np
import pytest
from rig import Rig

from piper_bringup.arm.chunk import Chunk
from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from smp_policy.learn.driver import LOWER, UPPER, Driver

TIMES = names.DT_NS * np.arange(1, names.HORIZON + 1)
STRIDE_NS = names.REPLAN_ROWS * names.DT_NS


def onwards(here: np.ndarray) -> np.ndarray:
    """Rows (16, 14) that move the left arm's first joint from `here` on."""
    rows = np.tile(here, (names.HORIZON, 1))
    rows[:, 0] += 0.01 * np.arange(1, names.HORIZON + 1)
    return rows


def changed(rows: np.ndarray, row: object, column: int, value: float) -> np.ndarray:
    rows = rows.copy()
    rows[row, column] = value
    return rows


# What is done to well-formed rows, and whether both still follow them. Never so many refusals that a plan ends.
CASES = {
    "nothing": (lambda rows: rows, True),
    "a joint 0.09 rad outside": (lambda rows: changed(rows, -1, 12, UPPER[12] + 0.09), True),
    "a joint 0.11 rad outside": (lambda rows: changed(rows, -1, 12, UPPER[12] + 0.11), False),
    "a joint 0.11 rad below": (lambda rows: changed(rows, -1, 9, LOWER[9] - 0.11), False),
    "a gripper 9 mm outside": (lambda rows: changed(rows, -1, 6, -0.009), True),
    "a gripper 11 mm outside": (lambda rows: changed(rows, -1, 6, -0.011), False),
    "a gripper 11 mm too wide": (lambda rows: changed(rows, -1, 13, UPPER[13] + 0.011), False),
    "0.3 rad away": (lambda rows: changed(rows, slice(None), 3, rows[0, 3] + 0.3), True),
    "0.8 rad away": (lambda rows: changed(rows, slice(None), 3, rows[0, 3] + 0.8), False),
    "not finite": (lambda rows: changed(rows, 3, 2, np.nan), False),
    "nothing again": (lambda rows: rows, True),
}


@pytest.mark.parametrize("delay_ns", [10_000_000, 70_000_000])
def test_both_follow_and_refuse_the_same_chunks_and_have_the_same_plan(delay_ns):
    with Rig().enabled() as rig:
        began_ns = rig.ns
        driver = Driver(rig.core.motion.at.q)
        for name, (spoil, is_followed) in CASES.items():
            at_ns = rig.ns - began_ns
            rows = spoil(onwards(driver.schedule.plan.at(at_ns)))
            rejected = rig.core.rejected
            rig.run(delay_ns * 1e-9 - 0.01)

            def arrives(at_ns=at_ns, rows=rows) -> None:
                rig.send(Chunk(rig.wall_offset_ns + began_ns + at_ns, names.JOINTS, TIMES, rows))
                driver.take(at_ns, rows, rig.ns - began_ns)

            rig.run(0.01, arrives)
            assert (rig.core.rejected > rejected) == (not is_followed), name
            assert rig.core.rejected == len(driver.refused), name
            rig.run((STRIDE_NS - delay_ns) * 1e-9)
            assert rig.mode() == Mode.FOLLOW, name
            for ahead_ns in range(0, 400_000_000, 30_000_000):
                ours = driver.schedule.plan.at(rig.ns - began_ns + ahead_ns)
                np.testing.assert_allclose(ours, rig.core.motion.plan.at(rig.ns + ahead_ns), atol=1e-9, err_msg=name)
