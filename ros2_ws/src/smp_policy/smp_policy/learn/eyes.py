"""Networks of the cameras before there is a policy: taught where things are, kept in a file, put into an encoder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from piper_bringup.data import names
from smp_policy.learn.loop import has_bfloat16
from smp_policy.run.contract import ContractError
from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.encoder import Encoder
from smp_policy.smp.layers import mlp

FILE = "eyes.safetensors"


class Eyes(nn.Module):
    """Pictures, joints and task to object slots: the encoder's cameras with a head that is thrown away afterwards.

    The joints say where a camera at a wrist is; without them it would learn to ignore what moves with it.
    """

    def __init__(self, encoder: EncoderConfig, slots: tuple[int, int]) -> None:
        super().__init__()
        self.encoder, self.slots = Encoder(encoder), slots
        seen = encoder.cameras * 3 * encoder.channels[-1]
        self.task = nn.Embedding(encoder.tasks, encoder.task_width)
        n_in = seen + encoder.task_width + len(names.JOINTS)
        self.head = mlp(n_in, encoder.width, encoder.depth, math.prod(slots))

    def forward(self, images: Tensor, task: Tensor, joints: Tensor) -> Tensor:
        """images [N, cameras, 3, px, px] uint8, task [N], joints [N, 14] normalised -> slots [N, slots, F].

        The slots are normalised, too.
        """
        seen = self.encoder.look(images)
        return self.head(torch.cat((seen, self.task(task), joints), dim=-1)).unflatten(-1, self.slots).float()


def load_cameras(encoder: Encoder, folder: Path) -> None:
    """Put the eyes of ``folder`` into an encoder. Raises ContractError where they do not fit."""
    try:
        encoder.cameras.load_state_dict(load_file(folder / FILE))
    except FileNotFoundError as error:
        raise ContractError(f"{folder} holds no eyes: {FILE} is missing; python -m smp_policy.learn.see") from error
    except RuntimeError as error:
        raise ContractError(f"{folder / FILE} does not fit the encoder: {str(error).splitlines()[1]}") from error


@torch.no_grad()
def look_at(encoder: Encoder, seen: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    """What the cameras make of every picture, (R', F) float32."""
    encoder = encoder.to(device).eval()
    parts = np.array_split(np.arange(len(seen)), max(1, len(seen) // 128))
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=has_bfloat16(device)):
        told = [
            encoder.look(torch.as_tensor(seen[part]).to(device)).float().cpu().numpy()
            for part in tqdm(parts, "looking", unit="batch", disable=None)
        ]
    return np.concatenate(told)
