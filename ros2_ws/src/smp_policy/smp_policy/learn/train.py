"""Train one SMP policy on every task of a data set.

    python -m smp_policy.learn.train state data --out out/state                         two cores, about 45 minutes
    torchrun --nproc-per-node 2 -m smp_policy.learn.train state data --out out/state    one process a GPU

Run the same line again to go on where it stopped (Ctrl-C, power cut): weights, optimiser and random numbers are as
they would have been. `out` then holds the averaged weights (model.safetensors) with their contract (contract.json),
log.csv, training.png and the checkpoint.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro

from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.data import names
from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import data as demonstrations
from smp_policy.learn import journal
from smp_policy.learn.checkpoint import CheckpointError, Training
from smp_policy.learn.data import Demonstrations
from smp_policy.learn.eyes import load_cameras, load_tell, look_at, told_slots
from smp_policy.learn.loop import Loop, held_sample, learn
from smp_policy.learn.memory import keep_memory
from smp_policy.learn.normalise import fit, principal
from smp_policy.learn.parallel import Ranks
from smp_policy.learn.pictures import numbered, pictures
from smp_policy.learn.segments import SegmentSampler
from smp_policy.run.backend_torch import save
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp import config as presets
from smp_policy.smp.config import SMPConfig
from smp_policy.smp.ema import Ema
from smp_policy.smp.policy import SkillMoEPolicy

STRIDE = names.REPLAN_ROWS
AS_SHOWN = 0.5  # share of the segments in which arms are not displaced, where cameras learn


@dataclass(frozen=True)
class Args:
    """Train one SMP policy on every task of a data set."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Episode files, or folders of them."""
    out: Path
    """Folder of the model; a training that was stopped there goes on."""
    tasks: tuple[str, ...] = ()
    """Tasks to learn, in the order of their numbers; default: all in the data, by name."""
    steps: int = 24_000
    """Optimiser steps."""
    batch: int = 256
    """Segments a step, over all processes; each has `length` policy steps."""
    length: int = 2
    """L: gates of consecutive policy steps meet in L_gate. Two are a transition; further ones only resemble them."""
    lr: float = 1e-3
    """Peak of the learning rate; it grows over the first 2 % of the steps, then falls as a cosine to 0."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Longest gradient."""
    away: float = 1.0
    """How far training displaces the arms from what was shown, with the way back: 1 is up to 0.1 rad, one deviation.
    Cameras that learn along learn from the half that is not displaced: the pictures show where the arms were, and a
    policy that finds that out goes on with what it sees, in closed loop for ever (a model so trained did 18 of 50
    pick_dual_bottles instead of 48)."""
    held_out: int = 20
    """Episodes kept back to watch over-fitting."""
    every: int = 1
    """Of an image model: of so many rows one has pictures and may be a policy step. 4 spares three quarters of the
    drawing and of the memory (10 GB for 600 episodes)."""
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    save_every: int = 500
    """Optimiser steps between checkpoints."""
    eyes: Path | None = None
    """Of `learn.see`, for an image model: its cameras stay as they are, and look at every picture once."""
    told: bool = False
    """Of those eyes the policy is given what they tell (objects, or hands), and nothing else that they see: pictures
    also show where the arms are, and where nothing in the demonstrations was ever off its way, as in RoboTwin's, a
    policy believes the picture and not its joints, which training displaces. Its cameras stay for ever."""
    config: SMPConfig = field(default_factory=presets.state)
    """Every number of the network and the loss; smp/config.py says where each comes from."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "length", "save_every", "held_out"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, at least 1 is needed")
        check_every(self.every)
        if self.eyes is not None and not self.config.encoder.cameras:
            raise ValueError("--eyes is for models that see pictures: train image ... --eyes ...")
        if any(self.config.encoder.told):
            raise ValueError("--config.encoder.told is what the eyes say it is: give --eyes ... --told instead")
        if self.told and self.eyes is None:
            raise ValueError("--told is for what eyes tell: python -m smp_policy.learn.see, then --eyes ... --told")

    def loop(self) -> Loop:
        """The part that the optimiser's loop needs; where and how often to save may change when it goes on."""
        free = ("out", "device", "save_every")
        settings = {name: str(value) for name, value in dataclasses.asdict(self).items() if name not in free}
        shown = AS_SHOWN if self.config.encoder.cameras and self.eyes is None else 0.0
        return Loop(self.out, self.steps, self.batch, self.lr, self.clip, self.save_every, settings, self.away, shown)


def check_every(every: int) -> None:
    """Raises ValueError where policy steps, which follow each other by STRIDE, would lack pictures."""
    if every < 1 or STRIDE % every:
        raise ValueError(f"--every is {every}; policy steps are {STRIDE} rows apart: 1, 2 or {STRIDE}")


def contract_of(args: Args, data: Demonstrations) -> Contract:
    """What the model will be. The configuration learns how many tasks and policy steps there are."""
    config = presets.of_tasks(args.config, len(data.tasks))
    if args.told:
        config = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, told=told_slots(args.eyes)))
    gate = dataclasses.replace(config.gate, policy_steps=max(1, len(data.state) // STRIDE))
    config = dataclasses.replace(config, gate=gate)
    notes = {"episodes": str(len(data)), "steps": str(args.steps), "batch": str(args.batch), "seed": str(args.seed)}
    return Contract(
        tasks=data.tasks,
        instructions=data.instructions,
        cameras=names.CAMERAS[: config.encoder.cameras],
        normaliser=fit(data, with_target=config.encoder.proprio > config.action),
        config=config,
        trained_in=data.trained_in,
        stride=STRIDE,
        notes=notes | {"torch": torch.__version__},
    )


def begin(args: Args, contract: Contract, ranks: Ranks, data: Demonstrations) -> Training:
    """Network, averages and optimiser of a new training; the same on every rank but for the random numbers drawn."""
    torch.manual_seed(args.seed)
    network = SkillMoEPolicy(contract.config)
    if contract.config.basis.centre == "principal":
        w0 = principal(data, contract.normaliser, *contract.config.directions)
        network.basis.w0.copy_(torch.from_numpy(w0.copy()))  # numpy's is a view with negative strides
    network.to(ranks.device)
    if args.eyes is not None:
        load_cameras(network.encoder, args.eyes)
        network.encoder.cameras.requires_grad_(False)
    if args.told:
        load_tell(network.encoder, args.eyes, contract.tasks, contract.normaliser)
        network.encoder.tell.requires_grad_(False)
    learning = [weights for weights in network.parameters() if weights.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=args.lr, weight_decay=args.weight_decay, fused=True)
    generator = torch.Generator(ranks.device).manual_seed(1000 * args.seed + ranks.rank)
    return Training(network, Ema(network), optimiser, generator)


def run(args: Args) -> Contract:
    """Train; the model lies in `args.out`. Raises EpisodeError, CheckpointError, ValueError, FloatingPointError."""
    keep_memory()
    ranks = Ranks.join(args.device)
    try:
        data = demonstrations.load(args.data, args.tasks, with_objects=args.config.encoder.slots > 0)
        data = numbered(data, args.every) if args.config.encoder.cameras else data
        training_data, held_data = demonstrations.split(data, args.held_out, args.seed)
        contract = contract_of(args, training_data)
        training = begin(args, contract, ranks, training_data)
        args.out.mkdir(parents=True, exist_ok=True)
        resumed = training.resume(args.out, args.loop().settings, ranks.rank, ranks.size)
        shape = (contract.normaliser, args.length, contract.stride, contract.config.rows, ranks.device)
        shape += _seen(args, data, training.network, ranks, contract.normaliser)
        sampler, held = SegmentSampler.of(training_data, *shape), SegmentSampler.of(held_data, *shape)
        if ranks.rank == 0:
            _announce(args, data, sampler, training, resumed)
        learn(training, training.network, sampler, held_sample(held), args.loop(), ranks)
        if ranks.rank == 0:
            save(args.out, contract, training.ema.shadow)
            journal.plot(args.out)
    finally:
        ranks.leave()
    return contract


def _seen(args: Args, data: Demonstrations, network: SkillMoEPolicy, ranks: Ranks, normaliser: Normaliser) -> tuple:
    """The last arguments of `SegmentSampler.of`: pictures, or what frozen eyes see in them."""
    cameras = names.CAMERAS[: args.config.encoder.cameras]
    if not cameras:
        return ()
    if ranks.rank == 0:
        pictures(data.paths, cameras, args.out, os.cpu_count() or 1, args.every)
    ranks.wait()
    all_pictures = pictures(data.paths, cameras, args.out, 1, args.every)  # made by now
    if args.eyes is None:
        return (torch.as_tensor(all_pictures).to(ranks.device),)  # once, for all samplers
    return None, look_at(network.encoder, all_pictures, ranks.device, data, normaliser)


def _announce(args: Args, data: Demonstrations, sampler: SegmentSampler, training: Training, resumed: bool) -> None:
    weights = sum(p.numel() for p in training.network.parameters())
    counts = [f"{name} {int((data.task == i).sum())}" for i, name in enumerate(data.tasks)]
    print(f"{len(data)} episodes ({', '.join(counts)}), {len(sampler)} segments of {args.length} policy steps")
    print(f"{weights / 1e6:.2f} M weights, {args.steps} steps on {args.device}")
    if resumed:
        print(f"goes on at step {training.step}")


def main() -> None:
    """Train, tell where the model lies."""
    kinds = {
        "state": ("Proprioception, object slots, task: trains on two cores.", presets.state()),
        "image": ("Three cameras, proprioception, task: wants a GPU.", presets.image()),
        "tiny": ("The same, very narrow: for tests.", presets.tiny()),
    }
    defaults = {
        name: (text, Args(data=tyro.MISSING, out=tyro.MISSING, config=config)) for name, (text, config) in kinds.items()
    }
    try:
        args = tyro.extras.overridable_config_cli(
            defaults, prog="python -m smp_policy.learn.train", description=__doc__
        )
        run(args)
    except (EpisodeError, CheckpointError, ContractError, FloatingPointError, NoGraphics, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same line again to go on from the last checkpoint")
    print(f"model: {args.out}")


if __name__ == "__main__":
    main()
