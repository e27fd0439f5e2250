"""Everything a training needs to go on as if it had never stopped, in one file, replaced whole."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn, optim

from smp_policy.smp.ema import Ema

FILE = "checkpoint.pt"


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, or is of another training."""


@dataclass
class Training:
    """What changes from step to step."""

    network: nn.Module
    ema: Ema
    optimiser: optim.Optimizer
    generator: torch.Generator
    """Draws batches, masks and noise; of the device of the network."""
    step: int = 0

    def save(self, folder: Path, settings: dict[str, Any], generators: Tensor | None = None) -> None:
        """Write `checkpoint.pt` beside the old one, then take its place.

        generators (processes, n): states of the random numbers of every process, where there are several.
        """
        partial = folder / f".{FILE}.part"
        state = {
            "settings": settings,
            "network": self.network.state_dict(),
            "ema": {"updates": self.ema.updates, "shadow": self.ema.shadow},
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state()[None] if generators is None else generators,
            "step": self.step,
        }
        torch.save(state, partial)
        partial.replace(folder / FILE)

    def resume(self, folder: Path, settings: dict[str, Any], rank: int = 0, size: int = 1) -> bool:
        """Go on from `checkpoint.pt` if there is one, as process ``rank`` of ``size``.

        Raises CheckpointError naming a setting that differs.
        """
        path = folder / FILE
        if not path.exists():
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            then = state["settings"]
        except (OSError, RuntimeError, KeyError, EOFError, ValueError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it to begin again") from error
        if different := [name for name in settings if then.get(name) != settings[name]]:
            name = different[0]
            raise CheckpointError(
                f"{path} is of a training with {name} = {then.get(name)}, asked for is {settings[name]}; "
                "choose another --out, or delete the folder to begin again"
            )
        generators = torch.atleast_2d(state["generator"])
        if len(generators) != size:
            raise CheckpointError(f"{path} is of a training in {len(generators)} processes, not in {size}")
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise CheckpointError(
                f"{path} is of another network, as of an earlier version; choose another --out, or delete the folder"
            ) from error
        self.ema.updates = state["ema"]["updates"]
        for name, value in state["ema"]["shadow"].items():
            self.ema.shadow[name].copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(generators[rank])
        self.step = state["step"]
        return True
