"""Networks of the cameras before there is a policy: taught where things are, kept in a file, put into an encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from smp_policy.learn.data import Demonstrations
from smp_policy.learn.loop import has_bfloat16
from smp_policy.run.contract import ContractError
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp.config import EncoderConfig
from smp_policy.smp.encoder import Encoder
from smp_policy.smp.tell import JOINTS, Tell

FILE, TELL = "eyes.safetensors", "tell."


class Eyes(nn.Module):
    """Pictures, joints and task to object slots: the encoder's cameras, and a head that a policy may do without."""

    def __init__(self, encoder: EncoderConfig, slots: tuple[int, int]) -> None:
        super().__init__()
        self.encoder, self.tell = Encoder(encoder), Tell(encoder, slots)

    def forward(self, images: Tensor, task: Tensor, joints: Tensor) -> Tensor:
        """images [N, cameras, 3, px, px] uint8, task [N], joints [N, 14] normalised -> slots [N, slots, F].

        The slots are normalised, too.
        """
        return self.tell(self.encoder.look(images), task, joints)

    def save(self, path: Path, tasks: Sequence[str], normaliser: Normaliser) -> None:
        """All of it, with what its numbers mean."""
        weights = self.encoder.cameras.state_dict()
        weights |= {TELL + name: value for name, value in self.tell.state_dict().items()}
        centre, scale = (part[:JOINTS].tolist() for part in (normaliser.proprio_centre, normaliser.proprio_scale))
        meaning = {"tasks": list(tasks), "slots": self.tell.slots, "joint_centre": centre, "joint_scale": scale}
        told = {name: json.dumps(value) for name, value in meaning.items()}
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, path, told)


def load_cameras(encoder: Encoder, folder: Path) -> None:
    """Put the eyes of ``folder`` into an encoder. Raises ContractError where they do not fit."""
    try:
        weights = load_file(folder / FILE)
        encoder.cameras.load_state_dict({k: value for k, value in weights.items() if not k.startswith(TELL)})
    except FileNotFoundError as error:
        raise ContractError(f"{folder} holds no eyes: {FILE} is missing; python -m smp_policy.learn.see") from error
    except RuntimeError as error:
        raise ContractError(f"{folder / FILE} does not fit the encoder: {str(error).splitlines()[1]}") from error


def told_slots(folder: Path) -> tuple[int, int]:
    """Slots, and fields of each, that the eyes of ``folder`` tell. Raises ContractError."""
    return tuple(_meaning(folder)["slots"])


def load_tell(encoder: Encoder, folder: Path, tasks: Sequence[str], normaliser: Normaliser) -> None:
    """Put what the eyes of ``folder`` tell into an encoder of ``tasks`` whose joints are as ``normaliser`` scales them.

    Raises ContractError for a task that they were not taught, or where they do not fit.
    """
    meaning = _meaning(folder)
    if unknown := [task for task in tasks if task not in meaning["tasks"]]:
        raise ContractError(f"{folder / FILE}: eyes of {', '.join(meaning['tasks'])}; not taught {', '.join(unknown)}")
    weights = {k.removeprefix(TELL): v for k, v in load_file(folder / FILE).items() if k.startswith(TELL)}
    weights["task.weight"] = weights["task.weight"][[meaning["tasks"].index(task) for task in tasks]]
    # The first layer's columns of joints, which then mean the same in the other scale.
    first = weights["head.0.weight"].double()
    scale, centre = (torch.tensor(meaning[f"joint_{name}"], dtype=torch.float64) for name in ("scale", "centre"))
    ratio = torch.as_tensor(normaliser.proprio_scale[:JOINTS], dtype=torch.float64) / scale
    offset = (torch.as_tensor(normaliser.proprio_centre[:JOINTS], dtype=torch.float64) - centre) / scale
    weights["head.0.bias"] = (weights["head.0.bias"] + first[:, -JOINTS:] @ offset).float()
    first[:, -JOINTS:] *= ratio
    weights["head.0.weight"] = first.float()
    try:
        encoder.tell.load_state_dict(weights)
    except RuntimeError as error:
        raise ContractError(f"{folder / FILE} does not fit the encoder: {str(error).splitlines()[1]}") from error


def _meaning(folder: Path) -> dict:
    try:
        with safe_open(folder / FILE, "pt") as file:
            told = file.metadata() or {}
    except FileNotFoundError as error:
        raise ContractError(f"{folder} holds no eyes: {FILE} is missing; python -m smp_policy.learn.see") from error
    if "slots" not in told:
        raise ContractError(f"{folder / FILE} does not say what it tells: it is of an earlier version; teach eyes anew")
    return {name: json.loads(value) for name, value in told.items()}


@torch.no_grad()
def look_at(
    encoder: Encoder, seen: NDArray[np.uint8], device: str, data: Demonstrations, normaliser: Normaliser
) -> NDArray[np.float32]:
    """What frozen eyes make of every picture of ``data``, (R', F) float32: of `Observation.seen`."""
    encoder = encoder.to(device).eval()
    parts = np.array_split(np.arange(len(seen)), max(1, len(seen) // 128))
    with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=has_bfloat16(device)):
        told = [
            encoder.look(torch.as_tensor(seen[part]).to(device)).float().cpu().numpy()
            for part in tqdm(parts, "looking", unit="batch", disable=None)
        ]
    looked = np.concatenate(told)
    return _told(encoder, looked, device, data, normaliser) if encoder.config.tells else looked


def _told(
    encoder: Encoder, looked: NDArray[np.float32], device: str, data: Demonstrations, normaliser: Normaliser
) -> NDArray[np.float32]:
    """(R', S * fields), with the joints and tasks of the rows that have a picture; 0 where no row has it."""
    rows = np.flatnonzero(data.picture >= 0)
    task = np.repeat(data.task, np.diff(data.first))
    joints = normaliser.proprio(data.state, data.target)[:, :JOINTS]
    told = np.zeros((len(looked), encoder.sees), np.float32)
    for some in np.array_split(rows, max(1, len(rows) // 1024)):
        given = (looked[data.picture[some]], task[some], joints[some])
        answer = encoder.tell.told(*(torch.as_tensor(part, device=device) for part in given))
        told[data.picture[some]] = answer.cpu().numpy()
    return told
