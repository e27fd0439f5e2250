"""Teach the cameras' networks where things are, before any policy: the way to an image model without a GPU.

    python -m smp_policy.learn.see data --out out/eyes
    python -m smp_policy.learn.train image data --out out/image --eyes out/eyes
    python -m smp_policy.learn.finetune out/image data --out out/image_joint --steps 300        both together, short

In simulation the labels are free: every recorded row says where its objects are. The networks learn to tell that from
the pictures, a policy is then trained on what they see, computed once a picture, and in the end all of it moves a
little together. `out` holds eyes.safetensors, log.csv and how far off the objects are seen, in millimetres.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from piper_bringup.data import names
from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import data as demonstrations
from smp_policy.learn import journal
from smp_policy.learn.data import Demonstrations
from smp_policy.learn.journal import Journal
from smp_policy.learn.loop import has_bfloat16
from smp_policy.learn.memory import keep_memory
from smp_policy.learn.normalise import fit
from smp_policy.learn.pictures import pictures
from smp_policy.run.contract import ContractError
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp import config as presets
from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.ema import Ema
from smp_policy.smp.encoder import Encoder
from smp_policy.smp.layers import mlp

FILE = "eyes.safetensors"
TOLD = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13)  # fields of a slot to be seen: place, turn, opening; sizes hardly vary
PLACE = slice(1, 4)
LOG_EVERY = 50


@dataclass(frozen=True)
class Args:
    """Teach the cameras' networks where things are."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Episode files with pictures and objects, or folders of them."""
    out: Path
    """Folder of the eyes."""
    steps: int = 4_000
    """Optimiser steps."""
    batch: int = 64
    """Rows a step."""
    lr: float = 1e-3
    """Peak of the learning rate; cosine to 0."""
    held_out: int = 20
    """Episodes kept back: the error that is told is theirs."""
    seed: int = 0
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    encoder: EncoderConfig = field(default_factory=lambda: presets.image().encoder)
    """As the policy's; its cameras are what is trained."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "held_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, at least 1 is needed")


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


@dataclass(frozen=True, eq=False)
class Rows:
    """Pictures, tasks, and normalised joints and slots of some rows."""

    pictures: NDArray[np.uint8]  # (R', cameras, 3, px, px) of all rows loaded
    picture: NDArray[np.int64]  # (R,) which of them
    task: NDArray[np.int64]  # (R,)
    joints: NDArray[np.float32]  # (R, 14)
    slots: NDArray[np.float32]  # (R, slots, F)

    @staticmethod
    def of(data: Demonstrations, seen: NDArray[np.uint8], normaliser: Normaliser) -> Rows:
        """Rows of ``data``."""
        task = np.repeat(data.task, np.diff(data.first))
        joints, slots = normaliser.proprio(data.state, data.target), normaliser.slots(data.objects)
        return Rows(seen, data.picture, task, joints, slots)

    def batch(self, index: NDArray[np.int64], device: str) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """What eyes are given of rows ``index``, and the slots."""
        order = np.sort(index)  # a disk reads forwards
        given = self.pictures[self.picture[order]], self.task[order], self.joints[order]
        put = lambda part: torch.as_tensor(part).to(device)  # noqa: E731
        return tuple(map(put, given)), put(self.slots[order])


def miss(found: Tensor, slots: Tensor) -> Tensor:
    """Mean squared error over the fields told of slots that hold an object, in normalised units; scalar."""
    held = slots[..., :1]
    error = (found - slots)[..., list(TOLD)].square() * held
    return error.sum() / (held.sum() * len(TOLD)).clamp_min(1.0)


@torch.no_grad()
def off_mm(eyes: Eyes, rows: Rows, index: NDArray[np.int64], scale: NDArray[np.float32], device: str) -> float:
    """Median distance [mm] between where objects are and where they are seen."""
    away = []
    for some in np.array_split(index, max(1, len(index) // 64)):
        given, slots = rows.batch(some, device)
        found = eyes(*given)
        metres = (found - slots)[..., PLACE] * torch.as_tensor(scale[PLACE], device=device)
        away.append(metres.norm(dim=-1)[slots[..., 0] > 0])
    return float(torch.cat(away).median()) * 1e3


def run(args: Args) -> float:
    """Teach; returns the error on episodes held out [mm]. Raises EpisodeError, ValueError."""
    keep_memory()
    data = demonstrations.load(args.data)
    seen = pictures(data.paths, names.CAMERAS[: args.encoder.cameras], args.out, processes=2)
    normaliser = fit(data, with_target=False)
    parts = demonstrations.split(data, args.held_out, args.seed)
    rows, held = (Rows.of(part, seen, normaliser) for part in parts)
    torch.manual_seed(args.seed)
    encoder = dataclasses.replace(args.encoder, tasks=len(data.tasks), text=0)
    eyes = Eyes(encoder, data.objects.shape[1:]).to(args.device)
    print(f"{len(data)} episodes, {len(rows.task)} rows to learn from, {len(held.task)} held out")
    error_mm = teach(eyes, rows, held, normaliser.slot_scale, args)
    save_file({k: v.contiguous() for k, v in eyes.encoder.cameras.state_dict().items()}, args.out / FILE)
    return error_mm


def teach(eyes: Eyes, rows: Rows, held: Rows, scale: NDArray[np.float32], args: Args) -> float:
    """The optimiser's loop; `eyes` ends with averaged weights."""
    optimiser = torch.optim.AdamW(eyes.parameters(), lr=args.lr, fused=True)
    ema, rng, diary = Ema(eyes), np.random.default_rng(args.seed), Journal(args.out, 0)
    some = np.linspace(0, len(held.task) - 1, min(len(held.task), 512)).astype(np.int64)
    half, kind = has_bfloat16(args.device), args.device.split(":")[0]
    with tqdm(total=args.steps, unit="step", disable=None) as bar:
        for step in range(1, args.steps + 1):
            optimiser.param_groups[0]["lr"] = args.lr * 0.5 * (1.0 + math.cos(math.pi * step / args.steps))
            given, slots = rows.batch(rng.integers(len(rows.task), size=args.batch), args.device)
            with torch.autocast(kind, torch.bfloat16, enabled=half):
                loss = miss(eyes(*given), slots)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            ema.update(eyes)
            bar.update()
            if step % LOG_EVERY == 0 or step == args.steps:
                with ema.swapped(eyes):
                    told = {"loss": float(loss.detach()), "off_mm": off_mm(eyes, held, some, scale, args.device)}
                diary.add(step, told)
                bar.set_postfix(told)
    eyes.load_state_dict(ema.shadow)
    return told["off_mm"]


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


def main() -> None:
    """Teach, tell how well they see."""
    try:
        args = tyro.cli(Args, prog="python -m smp_policy.learn.see", description=__doc__)
        error_mm = run(args)
    except (EpisodeError, ContractError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; nothing was saved")
    journal.plot(args.out)
    print(f"eyes: {args.out}, objects seen {error_mm:.1f} mm off (median, episodes held out)")


if __name__ == "__main__":
    main()
