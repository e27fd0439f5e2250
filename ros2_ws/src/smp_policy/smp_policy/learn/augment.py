"""Pictures as another hand might have mounted the camera: what keeps networks from learning a few layouts by heart."""

from __future__ import annotations

import torch
from torch import Tensor


def shifted(images: Tensor, generator: torch.Generator, most_px: int) -> Tensor:
    """Each picture [..., 3, h, w] moved by up to ``most_px`` either way, on its own; its edge is repeated.

    DrQ (Kostrikov et al. 2021), which moves 84 pixels by 4.
    """
    height, width = images.shape[-2:]
    flat = images.flatten(-2).flatten(0, -3)  # [N, 3, h w]
    by = torch.randint(-most_px, most_px + 1, (2, len(flat), 1), generator=generator, device=images.device)
    rows, columns = (
        (torch.arange(n, device=images.device) + move).clamp(0, n - 1)
        for n, move in zip((height, width), by, strict=True)
    )
    pixel = (rows.unsqueeze(-1) * width + columns.unsqueeze(-2)).flatten(1)  # [N, h w]
    return flat.gather(-1, pixel.unsqueeze(1).expand_as(flat)).view(images.shape)
