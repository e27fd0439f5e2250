"""Diffusion over coefficients: DDPM for training (METHOD 1.8), DDIM for acting, known rows held on the way.

Coefficients are standardised first: z = U / (gate + eps) spans orders of magnitude between experts, and between the
first rows of a chunk (which are executed) and its last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from smp_policy.smp.config import DiffusionConfig

NoiseEstimate = Callable[[Tensor, Tensor], Tensor]  # (z_k [N, H, K], step [N] or [1]) -> [N, H, K]


def cosine_schedule(steps: int) -> Tensor:
    """abar_k for k = 0..steps-1, float64 (squaredcos_cap_v2: Nichol & Dhariwal 2021, beta capped at 0.999)."""
    level = [math.cos((k / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(steps + 1)]
    beta = [min(1.0 - after / before, 0.999) for before, after in itertools.pairwise(level)]
    return torch.cumprod(1.0 - torch.tensor(beta, dtype=torch.float64), dim=0)


def sample_times(train_steps: int, sample_steps: int) -> list[int]:
    """The diffusion steps that DDIM visits, noisiest first: 90, 80, .. 0 for 10 of 100.

    It begins one stride below the end: at the last step abar is 2e-7, and a noise estimate there says nothing about z.
    """
    return [train_steps * i // sample_steps for i in reversed(range(sample_steps))]


class Diffusion(nn.Module):
    """The noise schedule and what is done along it. No learned parameters."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("abar", cosine_schedule(config.train_steps).float(), persistent=False)

    def noised(self, z: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """z_k = sqrt(abar_k) z_0 + sqrt(1 - abar_k) e: z, noise [N, H, K], step [N] or [1] int64."""
        abar = self.abar[step].view(-1, 1, 1)
        return abar.sqrt() * z + (1.0 - abar).sqrt() * noise

    def noise_of(self, velocity: Tensor, z: Tensor, step: Tensor) -> Tensor:
        """The noise estimate behind a network's output: e = sqrt(1 - abar_k) z_k + sqrt(abar_k) v.

        v = sqrt(abar) e - sqrt(1 - abar) z_0 (Salimans & Ho 2022). The skip spares the network from copying the noisy
        input to its output, which a narrow one does badly where it matters most: at abar = 0.02 an error of 0.25 in the
        noise is one of 1.8 in z_0.
        """
        abar = self.abar[step].view(-1, 1, 1)
        return (1.0 - abar).sqrt() * z + abar.sqrt() * velocity

    def clean(self, z: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """z_0 that a noise estimate implies, within the clip."""
        abar = self.abar[step].view(-1, 1, 1)
        return ((z - (1.0 - abar).sqrt() * noise) / abar.sqrt()).clamp(-self.config.clip, self.config.clip)

    def loss(
        self, predict: NoiseEstimate, z: Tensor, mask: Tensor, noise: Tensor, step: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """L_coeff: mean squared error over active coefficients, of the noise (paper) or of the velocity behind it.

        z, noise [N, H, K], mask [N, K] bool, step [N]; weight [N, K] of each coefficient in the mean, None: all alike.
        """
        counts = mask.to(z.dtype) if weight is None else mask * weight
        counts = counts.unsqueeze(-2)
        error = (noise - predict(self.noised(z, noise, step), step)) ** 2 * counts
        if self.config.error == "velocity":
            error = error / self.abar[step].view(-1, 1, 1)
        return error.sum() / (counts.sum() * z.shape[-2])

    def sample(
        self,
        predict: NoiseEstimate,
        noise: Tensor,
        known: Tensor | None = None,
        is_known: Tensor | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """DDIM with eta = 0 from ``noise`` [N, H, K]: deterministic, the same loop in torch and in an exported graph.

        ``known`` [N, H, K] where ``is_known`` (bool, broadcastable) is inpainted: those entries follow the very
        trajectory that ends in them, so that the others are denoised in their company.
        """
        times = sample_times(self.config.train_steps, steps or self.config.sample_steps)
        at = torch.tensor(times, device=noise.device)
        z = noise if known is None else torch.where(is_known, self.noised(known, noise, at[:1]), noise)
        for i in range(len(times)):
            step = at[i : i + 1]
            clean = self.clean(z, predict(z, step), step)
            clean = clean if known is None else torch.where(is_known, known, clean)
            if i + 1 == len(times):
                return clean
            abar = self.abar[step].view(-1, 1, 1)
            left = (z - abar.sqrt() * clean) / (1.0 - abar).sqrt()  # the noise that agrees with the clipped estimate
            z = self.noised(clean, left, at[i + 1 : i + 2])
        raise ValueError("no denoising step: sample_steps must be at least 1")


class Standardiser(nn.Module):
    """Running mean and deviation of each coefficient, row by row, over the samples in which its expert was active."""

    MOMENTUM = 0.01  # a memory of about 100 batches, once as many have been seen
    LEAST_STD = 1e-3  # a coefficient that never moves is left alone instead of having its rounding blown up

    def __init__(self, rows: int, experts: int, clip: float) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(rows, experts))
        self.register_buffer("square", torch.ones(rows, experts))  # running mean of squared deviations
        self.register_buffer("seen", torch.zeros(experts))  # batches in which each expert was active

    @property
    def std(self) -> Tensor:
        """[H, K]."""
        return self.square.sqrt().clamp_min(self.LEAST_STD)

    @torch.no_grad()
    def update(self, z: Tensor, mask: Tensor) -> None:
        """Take in a batch: z [N, H, K], mask [N, K] bool. Without an active sample an expert's numbers stay."""
        weight = mask.unsqueeze(-2).to(z.dtype)
        count = weight.sum(0).clamp_min(1.0)
        mean = (z * weight).sum(0) / count
        met = mask.any(0)
        self.seen += met
        rate = torch.where(met, (1.0 / self.seen.clamp_min(1.0)).clamp_min(self.MOMENTUM), 0.0)
        shift = mean - self.mean
        square = ((z - mean).square() * weight).sum(0) / count
        # Deviations around a mean that itself moves: both parts of the mixture's variance.
        self.square += rate * (square - self.square + (1.0 - rate) * shift.square())
        self.mean += rate * shift

    def forward(self, z: Tensor) -> Tensor:
        """[N, H, K] in standard deviations, winsorised at ``clip``."""
        return ((z - self.mean) / self.std).clamp(-self.clip, self.clip)

    def invert(self, z: Tensor) -> Tensor:
        """Back from standard deviations, [N, H, K]."""
        return z * self.std + self.mean
