"""Models and backends to evaluate: an untrained network of two of the cell's tasks, and answers made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from learn_rig import tiny_with_slots
from numpy.typing import NDArray

from piper_bringup.arm.config import columns
from smp_policy.run.backend_torch import save
from smp_policy.run.contract import Contract
from smp_policy.run.normaliser import Normaliser
from smp_policy.run.policy import Inputs, Outputs
from smp_policy.smp import config as presets
from smp_policy.smp.policy import SkillMoEPolicy

TASKS = ("lift_bar", "right_open_drawer")


def contract(cameras: tuple[str, ...] = (), tasks: tuple[str, ...] = TASKS, **changes: object) -> Contract:
    """Of a tiny network, with `changes`, that sees objects or, with cameras, pictures."""
    config = replace(tiny_with_slots(proprio=28), **changes)
    if cameras:
        tiny = presets.tiny()
        config = replace(tiny, encoder=replace(tiny.encoder, proprio=28, cameras=len(cameras)))
    fields = config.encoder.slot_fields if config.encoder.slots else 0
    scale = columns(0.1, 0.003)  # an untrained network's answers stay inside the limits: the driver refuses none
    return Contract(
        tasks=tasks,
        instructions=tasks,
        normaliser=Normaliser(np.zeros(28), np.ones(28), scale, np.zeros(fields), np.ones(fields)),
        config=config,
        trained_in="simulation",
        cameras=cameras,
        notes={"steps": "0"},
    )


def untrained(folder: Path, what: Contract | None = None) -> Path:
    """A model folder whose experts speak (their last layer starts at zero) and whose gates differ with the state."""
    what = what or contract()
    torch.manual_seed(0)
    network = SkillMoEPolicy(what.config)
    torch.nn.init.normal_(network.experts.out.w, std=0.1)
    torch.nn.init.normal_(network.router.net[-1].weight, std=0.5)
    save(folder, what, network.state_dict())
    return folder


@dataclass
class ByHand:
    """A backend that answers with targets (H, 14) in rad and m: ``rows(policy step, set-points in force)``."""

    rows: Callable[[int, NDArray], NDArray]
    contract: Contract
    steps: int = 0

    def infer(self, inputs: Inputs) -> Outputs:
        """One chunk, the next policy step."""
        normaliser, k = self.contract.normaliser, self.contract.config.experts
        seen = inputs.proprio * normaliser.proprio_scale + normaliser.proprio_centre
        target = seen[:14] + seen[14:]
        action = normaliser.encode(self.rows(self.steps, target), target)
        self.steps += 1
        first = np.arange(k) == 0
        return Outputs(action, first.astype(np.float32), first, np.ones(k, np.float32))


def player(q: NDArray[np.float64]) -> ByHand:
    """Plays targets (T, 14), of which row i is due (i + 1) DT after the start, and stays where they end."""
    what = contract()
    chunk = np.arange(what.config.rows)
    return ByHand(lambda step, _: q[np.minimum(step * what.stride + chunk, len(q) - 1)], what)


def holder() -> ByHand:
    """Stays where the arms are."""
    what = contract()
    return ByHand(lambda _, target: np.tile(target, (what.config.rows, 1)), what)
