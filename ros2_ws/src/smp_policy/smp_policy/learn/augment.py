"""Pictures as another hand might have mounted the camera: what keeps networks from learning a few layouts by heart."""

from __future__ import annotations

import torch
from torch import Tensor

# Of 96, as DrQ's 4 of 84 (Kostrikov et al. 2021). Eyes taught by 45 bags see hands of 5 others 3.8 mm off, 4.8 without.
SHIFT_PX = 4


def shifted(images: Tensor, generator: torch.Generator, most_px: int = SHIFT_PX) -> Tensor:
    """Each picture [..., 3, h, w] moved by up to ``most_px`` either way, on its own; its edge is repeated."""
    height, width = images.shape[-2:]
    flat = images.flatten(-2).flatten(0, -3)  # [N, 3, h w]
    by = torch.randint(-most_px, most_px + 1, (2, len(flat), 1), generator=generator, device=images.device)
    rows, columns = (
        (torch.arange(n, device=images.device) + move).clamp(0, n - 1)
        for n, move in zip((height, width), by, strict=True)
    )
    pixel = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).flatten(1)  # [N, h w]
    return flat.gather(-1, pixel.unsqueeze(1).expand_as(flat)).view(images.shape)
