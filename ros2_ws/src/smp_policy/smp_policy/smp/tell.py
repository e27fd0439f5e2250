"""Few numbers in place of all that cameras see: where things are, as eyes were taught to tell (`learn.see`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.layers import mlp

JOINTS = 14  # that proprioception begins with


class Tell(nn.Module):
    """What the cameras' networks make of pictures, task and joints to slots.

    The joints say where a camera at a wrist is; without them it would learn to ignore what moves with it.
    """

    def __init__(self, config: EncoderConfig, slots: tuple[int, int]) -> None:
        super().__init__()
        self.slots = slots
        seen = config.cameras * 3 * config.channels[-1]
        self.task = nn.Embedding(config.tasks, config.task_width)
        self.head = mlp(seen + config.task_width + JOINTS, config.width, config.depth, math.prod(slots))

    def forward(self, seen: Tensor, task: Tensor, joints: Tensor) -> Tensor:
        """seen [..., F], task [...] number, joints [..., 14] normalised -> slots [..., S, fields], normalised.

        The first field is near 1 where the slot is filled, near 0 where it is not, and then the others say nothing.
        """
        return self.head(torch.cat((seen, self.task(task), joints), dim=-1)).unflatten(-1, self.slots).float()

    def told(self, seen: Tensor, task: Tensor, joints: Tensor) -> Tensor:
        """The same as one vector [..., S * fields]: a slot is filled, its first field 1, or all of it is 0."""
        slots = self(seen, task, joints)
        filled = (slots[..., :1] > 0.5).to(slots.dtype)
        return torch.cat((filled, filled * slots[..., 1:]), dim=-1).flatten(-2)
