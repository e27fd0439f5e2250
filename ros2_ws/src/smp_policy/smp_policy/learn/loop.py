"""The loop that training and fine-tuning share: optimiser steps, log, progress line, checkpoints, exact resumption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from piper_bringup.data import names
from smp_policy.learn.checkpoint import Training
from smp_policy.learn.journal import Journal
from smp_policy.learn.normalise import AWAY
from smp_policy.learn.parallel import Ranks
from smp_policy.learn.segments import SegmentSampler
from smp_policy.smp import gate as gates
from smp_policy.smp.indicators import normalised_mutual_information
from smp_policy.smp.policy import Losses, Segments

WARM_UP = 0.02  # share of the steps over which the learning rate grows
HELD_SEGMENTS = 256  # their loss is then steady to a few per cent
LAG = 0.2  # of a displacement: 0.02 rad, where a moving arm lags by 0.1
LOG_EVERY = 50  # optimiser steps whose mean is one row of log.csv
SHOWN = ("coeff", "recon", "gate", "align", "n_eff", "active", "switch", "nmi", "dropped")


@dataclass(frozen=True)
class Loop:
    """How long, how fast, where to."""

    out: Path
    steps: int
    batch: int  # segments a step over all processes
    lr: float  # peak
    clip: float  # longest gradient
    save_every: int  # optimiser steps
    settings: Mapping[str, str]  # what must be the same when a stopped training goes on
    away: float = 0.0  # how far arms are displaced in training, as a share of AWAY
    as_shown: float = 0.0  # share of the segments in which they are not


def learning_rate(step: int, loop: Loop) -> float:
    """Warm-up, then a cosine to zero at the last step."""
    warm = max(1, round(WARM_UP * loop.steps))
    if step < warm:
        return loop.lr * (step + 1) / warm
    return loop.lr * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, loop.steps - warm)))


def displaced(
    shape: torch.Size, share: float, generator: torch.Generator, device: str, as_shown: float = 0.0
) -> Tensor | None:
    """[2, N, L, 14] by which joints and set-points of each segment are away from what was shown; None for nothing.

    Demonstrations of a script, or of a steady hand, show one path: a policy that has left it by a little has never seen
    where it is. Both are displaced together, and the lag between them, which tells where the arms are going, a little
    more: exact, it tells the speed so well that a policy trusts it alone and repeats its own motion for ever.
    Displacements halve from policy step to policy step, as chunks that come back would have it.
    """
    if share == 0.0:
        return None
    n, length = shape
    size = torch.rand(2, n, 1, 1, generator=generator, device=device)
    if as_shown:
        size = size * (torch.rand(n, 1, 1, generator=generator, device=device) >= as_shown)
    first = torch.randn(2, n, 1, len(names.JOINTS), generator=generator, device=device) * size * share
    halves = 0.5 ** torch.arange(length, device=device).unsqueeze(-1)
    target, lag = first * halves * torch.tensor(AWAY, dtype=torch.float32, device=device)
    return torch.stack((target - LAG * lag, target))


def has_bfloat16(device: str) -> bool:
    """Whether products are faster in bfloat16: half the time of a step on a CPU with AMX."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def numbers(losses: Losses) -> dict[str, Tensor]:
    """Loss terms and collapse indicators of one batch, detached scalars."""
    terms = {name: getattr(losses, name).detach().float() for name in ("total", "coeff", "recon", "gate", "align")}
    return terms | {name: value.float() for name, value in losses.health.items()}


@torch.no_grad()
def look(training: Training, held: tuple[Segments, Tensor], progress: float) -> dict[str, float]:
    """The averaged network on segments it has never seen: loss terms, and NMI of its heaviest gate and the phase."""
    batch, phase = held
    generator = torch.Generator(phase.device).manual_seed(0)  # the same noise at every look
    with training.ema.swapped(training.network) as network:
        network.eval()
        losses = network.loss(batch, progress, generator)
        heaviest = gates.mean(network.router(network.encoder(batch.observation))).argmax(-1)
        network.train()
    known = phase >= 0
    nmi = normalised_mutual_information(heaviest[known], phase[known]) if known.any() else torch.zeros(())
    terms = ("total", "coeff", "recon", "gate", "align")
    return {f"held_{name}": float(getattr(losses, name)) for name in terms} | {"nmi": float(nmi)}


def step(training: Training, network: nn.Module, sampler: SegmentSampler, loop: Loop, ranks: Ranks) -> Losses:
    """One optimiser step on a batch drawn anew."""
    for group in training.optimiser.param_groups:
        group["lr"] = learning_rate(training.step, loop)
    size = (max(1, loop.batch // ranks.size),)
    index = torch.randint(len(sampler), size, generator=training.generator, device=ranks.device)
    away = displaced(sampler.row[index].shape, loop.away, training.generator, ranks.device, loop.as_shown)
    batch, _ = sampler.batch(index, away)
    with torch.autocast(ranks.device.split(":")[0], torch.bfloat16, enabled=has_bfloat16(ranks.device)):
        losses = network(batch, training.step / loop.steps, training.generator)
    training.optimiser.zero_grad(set_to_none=True)
    losses.total.backward()
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), loop.clip)
    training.optimiser.step()
    training.ema.update(training.network)
    training.step += 1
    return losses


def learn(
    training: Training,
    loss: nn.Module,
    sampler: SegmentSampler,
    held: tuple[Segments, Tensor],
    loop: Loop,
    ranks: Ranks,
) -> None:
    """From where `training` stands to the last step, with a progress line, log and checkpoints.

    loss: called as `SkillMoEPolicy.forward`; the policy itself, or what minimises something else of it. Raises
    FloatingPointError when the loss is no longer finite.
    """
    network, first = ranks.wrap(loss), ranks.rank == 0
    diary = Journal(loop.out, training.step) if first else None
    recent: list[dict[str, Tensor]] = []
    with tqdm(total=loop.steps, initial=training.step, disable=None if first else True, unit="step") as bar:
        while training.step < loop.steps:
            recent.append(numbers(step(training, network, sampler, loop, ranks)))
            bar.update()
            if training.step % LOG_EVERY and training.step < loop.steps:
                continue
            means = ranks.mean(torch.stack([torch.stack(list(row.values())) for row in recent]).mean(0))
            row, recent = dict(zip(recent[0], means.tolist(), strict=True)), []
            if not math.isfinite(row["total"]):
                raise FloatingPointError(f"the loss is no longer finite at step {training.step}: lower --lr")
            if first:
                row |= look(training, held, training.step / loop.steps)
                diary.add(training.step, row)
                bar.set_postfix_str(" ".join(f"{name} {row[name]:.3g}" for name in SHOWN))
            if training.step % loop.save_every < LOG_EVERY or training.step == loop.steps:
                generators = ranks.gathered(training.generator.get_state())
                if first:
                    training.save(loop.out, loop.settings, generators)
            ranks.wait()


def held_sample(held: SegmentSampler) -> tuple[Segments, Tensor]:
    """HELD_SEGMENTS of the segments held out, evenly spread; the same at every look."""
    some = torch.linspace(0, len(held) - 1, min(len(held), HELD_SEGMENTS), device=held.row.device)
    return held.batch(some.long())
