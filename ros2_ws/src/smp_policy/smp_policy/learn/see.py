"""Teach the cameras' networks where things are, before any policy: the way to an image model without a GPU.

    python -m smp_policy.learn.see layouts --out out/eyes                            not the episodes of the policy
    python -m smp_policy.learn.train image data --out out/image --eyes out/eyes
    python -m smp_policy.learn.finetune out/image data --out out/image_joint --steps 300        both together, short

In simulation the labels are free: every recorded row says where its objects are. Bags of a robot say where its hands
went: `--tell hands` teaches where each will next close and open. The networks learn to tell that from the pictures, a
policy is then trained on what they see, computed once a picture, and in the end all of it moves a little together. Of
demonstrations that were never pushed off their way, as RoboTwin's, train it on nothing but what they tell: `--told`.
`out` holds eyes.safetensors, log.csv and how far off things are seen, in millimetres. Run the same line again to go on
where it stopped.
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.data import names
from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import data as demonstrations
from smp_policy.learn import journal
from smp_policy.learn.augment import shifted
from smp_policy.learn.checkpoint import CheckpointError, Training
from smp_policy.learn.data import Demonstrations
from smp_policy.learn.eyes import FILE, Eyes
from smp_policy.learn.journal import Journal
from smp_policy.learn.keyposes import keyposes
from smp_policy.learn.loop import LOG_EVERY, has_bfloat16
from smp_policy.learn.memory import keep_memory
from smp_policy.learn.normalise import fit
from smp_policy.learn.pictures import pictures, thinned
from smp_policy.run.contract import ContractError
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp import config as presets
from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.ema import Ema

# Fields of an object slot to be seen: whether it is filled, place, turn, opening; sizes hardly vary.
TOLD = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13)
PLACE = slice(1, 4)
HELD_ROWS = 512
PANELS = {"loss, trained on": ("loss",), "what is told, of held-out episodes, off by [mm], median": ("off_mm",)}


@dataclass(frozen=True)
class Args:
    """Teach the cameras' networks where things are."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Episode files, or folders of them; those of the cell without pictures are drawn."""
    out: Path
    """Folder of the eyes."""
    tell: Literal["objects", "hands"] = "objects"
    """What eyes learn to tell: where the simulation says that objects are, or, known of every demonstration, where each
    hand will be when its gripper next closes and when it next opens."""
    steps: int = 6_000
    """Optimiser steps: 384 000 pictures of each camera."""
    batch: int = 64
    """Rows a step."""
    every: int = 10
    """Of so many rows one is looked at: neighbours show nearly the same, other episodes show other places. Of fifty
    episodes take all: 1."""
    shift_px: int = 0
    """How far pictures are moved in training, which keeps a few layouts from being learned by heart: with 4,
    eyes taught by 45 bags see the hands of 5 others 3.8 mm off, without 4.8. Not measured with hundreds of layouts."""
    lr: float = 1e-3
    """Peak of the learning rate; cosine to 0."""
    held_out: int = 20
    """Episodes kept back: the error that is told is theirs."""
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    save_every: int = 500
    """Optimiser steps between checkpoints."""
    encoder: EncoderConfig = field(default_factory=lambda: presets.image().encoder)
    """As the policy's; its cameras are what is trained."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every", "held_out", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, at least 1 is needed")
        if self.shift_px < 0:
            raise ValueError(f"--shift-px is {self.shift_px}; 0 leaves pictures where they are")

    def settings(self) -> dict[str, str]:
        """What must be the same when a stopped training goes on."""
        free = ("out", "device", "save_every")
        return {name: str(value) for name, value in dataclasses.asdict(self).items() if name not in free}


@dataclass(frozen=True, eq=False)
class Rows:
    """Pictures, tasks, and normalised joints and slots of some rows, on one device."""

    pictures: Tensor  # (R', cameras, 3, px, px) uint8 of all rows loaded
    picture: Tensor  # (R,) which of them
    task: Tensor  # (R,)
    joints: Tensor  # (R, 14)
    slots: Tensor  # (R, slots, F)

    @staticmethod
    def of(data: Demonstrations, seen: Tensor, normaliser: Normaliser) -> Rows:
        """Rows of ``data``, where the pictures ``seen`` are."""
        put = partial(torch.as_tensor, device=seen.device)
        task = np.repeat(data.task, np.diff(data.first))
        joints, slots = normaliser.proprio(data.state, data.target), normaliser.slots(data.objects)
        return Rows(seen, *map(put, (data.picture, task, joints, slots)))

    def __len__(self) -> int:
        """R."""
        return len(self.task)

    def batch(self, index: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """What eyes are given of rows ``index``, and the slots."""
        order = index.sort().values  # a disk reads forwards
        return (self.pictures[self.picture[order]], self.task[order], self.joints[order]), self.slots[order]


def miss(found: Tensor, slots: Tensor) -> Tensor:
    """Mean squared error over the fields of slots that are filled, and of whether they are; normalised, scalar."""
    held, error = slots[..., :1], (found - slots).square()
    fields = slots.shape[-1] - 1
    return (error[..., 1:] * held).sum() / (held.sum() * fields).clamp_min(1.0) + error[..., 0].mean()


@torch.no_grad()
def off_mm(eyes: Eyes, rows: Rows, scale: NDArray[np.float32]) -> float:
    """Median distance [mm] between where things are and where they are seen, in HELD_ROWS of ``rows``."""
    index = torch.linspace(0, len(rows) - 1, min(len(rows), HELD_ROWS), device=rows.task.device).long()
    away = []
    for some in index.split(64):
        given, slots = rows.batch(some)
        metres = (eyes(*given) - slots)[..., PLACE] * torch.as_tensor(scale[PLACE], device=slots.device)
        away.append(metres.norm(dim=-1)[slots[..., 0] > 0])
    return float(torch.cat(away).median()) * 1e3


def run(args: Args) -> float:
    """Teach; returns the error on episodes held out [mm]. Raises what `main` turns into one sentence."""
    keep_memory()
    data = demonstrations.load(args.data, with_objects=args.tell == "objects")
    slots = keyposes(data) if args.tell == "hands" else data.objects[..., TOLD]
    data = dataclasses.replace(data, objects=slots)
    cameras = names.CAMERAS[: args.encoder.cameras]
    made = pictures(data.paths, cameras, args.out, processes=os.cpu_count() or 1, every=args.every)
    normaliser, seen = fit(data, with_target=False), torch.as_tensor(made).to(args.device)
    parts = demonstrations.split(thinned(data, args.every), args.held_out, args.seed)
    rows, held = (Rows.of(part, seen, normaliser) for part in parts)
    torch.manual_seed(args.seed)
    encoder = dataclasses.replace(args.encoder, tasks=len(data.tasks), text=0)
    eyes = Eyes(encoder, data.objects.shape[1:]).to(args.device)
    optimiser = torch.optim.AdamW(eyes.parameters(), lr=args.lr, fused=True)
    training = Training(eyes, Ema(eyes), optimiser, torch.Generator(args.device).manual_seed(args.seed))
    print(f"{len(data)} episodes, {len(rows)} rows to learn from, {len(held)} held out")
    if training.resume(args.out, args.settings()):
        print(f"goes on at step {training.step}")
    teach(training, rows, held, normaliser.slot_scale, args)
    eyes.load_state_dict(training.ema.shadow)
    eyes.save(args.out / FILE, data.tasks, normaliser)
    return off_mm(eyes, held, normaliser.slot_scale)


def teach(training: Training, rows: Rows, held: Rows, scale: NDArray[np.float32], args: Args) -> None:
    """From where `training` stands to the last step, with a progress line, log and checkpoints."""
    diary = Journal(args.out, training.step)
    with tqdm(total=args.steps, initial=training.step, unit="step", disable=None) as bar:
        while training.step < args.steps:
            loss = step(training, rows, args)
            bar.update()
            if training.step % LOG_EVERY == 0 or training.step == args.steps:
                with training.ema.swapped(training.network) as eyes:
                    told = {"loss": loss, "off_mm": off_mm(eyes, held, scale)}
                diary.add(training.step, told)
                bar.set_postfix(told)
            if training.step % args.save_every == 0 or training.step == args.steps:
                training.save(args.out, args.settings())


def step(training: Training, rows: Rows, args: Args) -> float:
    """One optimiser step on rows drawn anew; their loss."""
    for group in training.optimiser.param_groups:
        group["lr"] = args.lr * 0.5 * (1.0 + math.cos(math.pi * training.step / args.steps))
    index = torch.randint(len(rows), (args.batch,), generator=training.generator, device=args.device)
    (images, *others), slots = rows.batch(index)
    images = shifted(images, training.generator, args.shift_px) if args.shift_px else images
    with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=has_bfloat16(args.device)):
        loss = miss(training.network(images, *others), slots)
    training.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    training.optimiser.step()
    training.ema.update(training.network)
    training.step += 1
    return float(loss.detach())


def main() -> None:
    """Teach, tell how well they see."""
    try:
        args = tyro.cli(Args, prog="python -m smp_policy.learn.see", description=__doc__)
        error_mm = run(args)
    except (EpisodeError, CheckpointError, ContractError, NoGraphics, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run the same line again to go on from the last checkpoint")
    journal.plot(args.out, PANELS)
    print(f"eyes: {args.out}, {args.tell} seen {error_mm:.1f} mm off (median, episodes held out)")


if __name__ == "__main__":
    main()
