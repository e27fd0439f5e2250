"""The driver in a rollout: which chunks it follows, when it holds, when it gives up. By the rules of arm/core.py.

Without bus, threads and clock; what is refused or held there is refused or held here, so that both count alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piper_bringup.arm import chunk as chunks
from piper_bringup.arm.gauges import Stretch
from piper_bringup.arm.safety import Finding, Reason
from piper_bringup.cell.expert import COMMAND_NS, DRIVER, Arms, measured
from piper_bringup.cell.world import World
from piper_bringup.data import names
from smp_policy.run.chunk import Schedule

LOWER = np.tile([*names.JOINT_LOWER_RAD, 0.0], len(names.ARMS))
UPPER = np.tile([*names.JOINT_UPPER_RAD, DRIVER.gripper__max_width], len(names.ARMS))
Floats = NDArray[np.float64]


class Driver:
    """Both arms under power, holding at `start` (14,) until a chunk comes. Time is simulated ns from 0."""

    def __init__(self, start: Floats) -> None:
        self.schedule = Schedule(start, 0)
        self.refused: list[Finding] = []
        self.fault = ""  # why it follows nobody any more
        self._arms, self._following, self._off = Arms(start), False, Stretch()

    def take(self, t_obs_ns: int, rows: Floats, now_ns: int) -> bool:
        """A chunk arrives; whether it is followed. A wrong one is refused whole (S1), and the plan goes on."""
        finding = self._refuse(t_obs_ns, rows, now_ns)
        if finding is not None:
            self.refused.append(finding)
            return False
        self.schedule.take(t_obs_ns, rows, now_ns)
        self._following = True
        return True

    def command(self, world: World, now_ns: int) -> Floats:
        """One period; the target (14,) at its end, before limits. Raises PhysicsError."""
        due_ns = now_ns + COMMAND_NS
        if self._following and due_ns > self.schedule.plan.end_ns:  # no chunk covers this moment (S8)
            self._following = False
            self.schedule.stand(self._arms.hold(_within(measured(world))), due_ns)
        target = self.schedule.plan.at(due_ns)
        self._arms.command(world, target)
        self._watch(measured(world), due_ns)
        return target

    def _refuse(self, t_obs_ns: int, rows: Floats, now_ns: int) -> Finding | None:
        times = names.DT_NS * np.arange(1, len(rows) + 1)
        chunk = chunks.Chunk(t_obs_ns, names.JOINTS, times, rows)
        if (finding := chunks.refuse(chunk, now_ns, LOWER, UPPER, DRIVER)) is not None:
            return finding
        plan = chunks.to_plan(chunk, 0)
        here = self.schedule.plan.at(max(now_ns, int(plan.t_ns[0])))
        return chunks.refuse_jump(plan, here, now_ns, DRIVER)

    def _watch(self, q: Floats, now_ns: int) -> None:
        """S7: an arm that is kept from following is not pushed on."""
        away = np.abs(self._arms.at - q)
        away[list(names.GRIPPER_COLUMNS)] = 0.0
        worst = int(np.argmax(away))
        off = bool(away[worst] > DRIVER.limits__tracking_error_rad)
        if self._off.lasted_ns(off, now_ns) >= DRIVER.timeouts__tracking_s * 1e9 and off:
            self.fault = f"{Reason.TRACKING_ERROR}: {names.JOINTS[worst]} is {away[worst]:.2f} rad from its set-point"


def _within(q: Floats) -> Floats:
    """A folded arm reads a hair outside its limits."""
    return np.clip(q, LOWER, UPPER)
