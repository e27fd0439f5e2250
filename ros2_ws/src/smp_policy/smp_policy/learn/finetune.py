"""Go on from a trained model with a few demonstrations of new tasks.

    python -m smp_policy.learn.finetune out/state data/lift_pot --out out/lift_pot         everything learns
    python -m smp_policy.learn.finetune out/pieces data/put_bottle_in_drawer --out out/both --router-only \
        --like left_grasp_bottle right_open_drawer                                         known skills, newly combined

Scales stay those of the model: its weights mean nothing in others. Give old demonstrations beside the new ones to
keep old tasks. Run the same line again to go on where it stopped.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import data as demonstrations
from smp_policy.learn import journal
from smp_policy.learn.checkpoint import CheckpointError, Training
from smp_policy.learn.data import Demonstrations
from smp_policy.learn.eyes import look_at
from smp_policy.learn.loop import Loop, held_sample, learn
from smp_policy.learn.memory import keep_memory
from smp_policy.learn.parallel import Ranks
from smp_policy.learn.pictures import numbered, pictures
from smp_policy.learn.segments import SegmentSampler
from smp_policy.learn.train import AS_SHOWN, check_every
from smp_policy.run.backend_torch import load, save
from smp_policy.run.contract import Contract, ContractError
from smp_policy.smp.config import of_tasks
from smp_policy.smp.ema import Ema
from smp_policy.smp.policy import Losses, Segments, SkillMoEPolicy
from smp_policy.smp.transfer import RouterOnly


@dataclass(frozen=True)
class Args:
    """Go on from a trained model with a few demonstrations of new tasks."""

    model: tyro.conf.Positional[Path]
    """Folder of the trained model."""
    data: tyro.conf.Positional[tuple[Path, ...]]
    """Episode files, or folders of them; ten episodes of a task are enough to begin with."""
    out: Path
    """Folder of the new model."""
    router_only: bool = False
    """Learn who acts when and nothing else: every other weight stays as it is."""
    like: tuple[str, ...] = ()
    """Tasks of the model that a new task begins from; default: all of them."""
    steps: int = 2_000
    batch: int = 64
    """Segments a step."""
    length: int = 4
    """L, policy steps a segment."""
    lr: float = 3e-4
    """Peak of the learning rate: a third of the training's, whose skills are to be kept."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Longest gradient."""
    away: float = 1.0
    """As in training: how far arms are displaced from what was shown, with the way back."""
    held_out: int = 1
    """Episodes kept back to watch over-fitting."""
    every: int = 1
    """As in training: of so many rows one has pictures."""
    eyes_stay: bool = False
    """Of an image model: its cameras stay as they are and look at every picture once. Wants no GPU. A model
    that was trained with --told needs it."""
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    save_every: int = 500
    """Optimiser steps between checkpoints."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length", "save_every", "held_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, at least 1 is needed")
        check_every(self.every)
        if self.out.resolve() == self.model.resolve():
            raise ValueError(f"--out is {self.out}, the model itself, whose weights it goes on from: name another")

    def loop(self, cameras: bool) -> Loop:
        """The part that the optimiser's loop needs; `cameras`: the model sees pictures."""
        free = ("out", "device", "save_every")
        settings = {name: str(value) for name, value in dataclasses.asdict(self).items() if name not in free}
        shown = AS_SHOWN if cameras and not self.eyes_stay and not self.router_only else 0.0
        return Loop(self.out, self.steps, self.batch, self.lr, self.clip, self.save_every, settings, self.away, shown)


class FullyRamped(torch.nn.Module):
    """Eq. 6 as it stands at the end of a training: no ramp begins anew."""

    def __init__(self, policy: SkillMoEPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Segments, progress: float, generator: torch.Generator | None = None) -> Losses:
        return self.policy.loss(batch, 1.0, generator)


def widened(
    contract: Contract, network: SkillMoEPolicy, data: Demonstrations, like: Sequence[str]
) -> tuple[Contract, SkillMoEPolicy]:
    """Contract and network that also know the tasks of ``data``; each new one begins as the mean of those in ``like``.

    Raises ContractError for a task in ``like`` that the model does not know.
    """
    if not contract.config.encoder.tasks:
        raise ContractError("this model knows tasks by text, which finetune cannot widen yet: train anew")
    begin = [contract.task_number(task) for task in like or contract.tasks]
    new = [task for task in data.tasks if task not in contract.tasks]
    if new and contract.config.encoder.tells:
        raise ContractError(f"it kept of its eyes what they tell of its own tasks, not of {', '.join(new)}: train anew")
    words = [data.instructions[data.tasks.index(task)] for task in new]
    tasks, instructions = (*contract.tasks, *new), (*contract.instructions, *words)
    known = {contract.trained_in, data.trained_in}
    config = of_tasks(contract.config, len(tasks))
    wider = dataclasses.replace(
        contract,
        tasks=tasks,
        instructions=instructions,
        config=config,
        trained_in=known.pop() if len(known) == 1 else "mixed",
    )
    weights = network.state_dict()
    table = weights["encoder.task.weight"]
    weights["encoder.task.weight"] = torch.cat([table, table[begin].mean(0, keepdim=True).expand(len(new), -1)])
    other = SkillMoEPolicy(config)
    other.load_state_dict(weights)
    return wider, other


def begin(args: Args, network: SkillMoEPolicy) -> tuple[Training, torch.nn.Module]:
    """What changes, and the loss that changes it."""
    network = network.to(args.device)
    if network.config.encoder.tells:
        if not args.eyes_stay and not args.router_only:
            raise ValueError("this model is given what its eyes tell, and they were taught alone: give --eyes-stay")
        network.encoder.tell.requires_grad_(False)
    if args.eyes_stay:
        if not network.encoder.cameras:
            raise ValueError("--eyes-stay is for models that see pictures; this one has no cameras")
        network.encoder.cameras.requires_grad_(False)
    loss = RouterOnly(network) if args.router_only else FullyRamped(network.train())
    learning = [weights for weights in network.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=args.lr, weight_decay=args.weight_decay, fused=True)
    generator = torch.Generator(args.device).manual_seed(args.seed)
    return Training(network, Ema(network), optimiser, generator), loss


def run(args: Args) -> Contract:
    """Learn; the model lies in `args.out`. Raises what `main` turns into one sentence."""
    keep_memory()
    base, network = load(args.model)
    data = demonstrations.load(args.data, with_objects=base.needs_objects)
    contract, network = widened(base, network, data, args.like)
    data = _numbered(data, contract)
    data = numbered(data, args.every) if contract.cameras else data
    training_data, held_data = demonstrations.split(data, args.held_out, args.seed)
    training, loss = begin(args, network)
    args.out.mkdir(parents=True, exist_ok=True)
    loop = args.loop(cameras=bool(contract.cameras))
    if training.resume(args.out, loop.settings):
        print(f"goes on at step {training.step}")
    shape = (contract.normaliser, args.length, contract.stride, contract.config.rows, args.device)
    if contract.cameras:
        shape += _seen(args, contract, data, network)
    held = SegmentSampler.of(held_data, *shape)
    print(f"{len(data)} episodes; the model knows {', '.join(contract.tasks)}")
    sampler, ranks = SegmentSampler.of(training_data, *shape), Ranks(0, 1, args.device)
    learn(training, loss, sampler, held_sample(held), loop, ranks)
    notes = {"finetuned_from": args.model.name, "finetune_steps": str(args.steps), "finetune_episodes": str(len(data))}
    contract = dataclasses.replace(contract, notes={**base.notes, **notes, "router_only": str(args.router_only)})
    save(args.out, contract, training.ema.shadow)
    journal.plot(args.out)
    return contract


def _seen(args: Args, contract: Contract, data: Demonstrations, network: SkillMoEPolicy) -> tuple:
    """The last arguments of `SegmentSampler.of`, once for both samplers."""
    all_pictures = pictures(data.paths, contract.cameras, args.out, os.cpu_count() or 1, args.every)
    if args.eyes_stay or args.router_only:
        return None, look_at(network.encoder, all_pictures, args.device, data, contract.normaliser)
    return (torch.as_tensor(all_pictures).to(args.device),)


def _numbered(data: Demonstrations, contract: Contract) -> Demonstrations:
    """With the task numbers of the model."""
    number = np.array([contract.task_number(task) for task in data.tasks])
    return dataclasses.replace(data, task=number[data.task], tasks=contract.tasks, instructions=contract.instructions)


def main() -> None:
    """Learn, tell where the model lies."""
    try:
        args = tyro.cli(Args, prog="python -m smp_policy.learn.finetune", description=__doc__)
        run(args)
    except (EpisodeError, CheckpointError, ContractError, FloatingPointError, NoGraphics, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same line again to go on from the last checkpoint")
    print(f"model: {args.out}")


if __name__ == "__main__":
    main()
