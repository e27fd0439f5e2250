"""Small models for the tests of `smp_policy.run` and of export: experts that speak, numbers that are not round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from piper_bringup.data import names
from smp_policy.run.backend_torch import TorchBackend, save
from smp_policy.run.contract import Contract
from smp_policy.run.normaliser import Normaliser
from smp_policy.run.policy import Query
from smp_policy.smp.config import EncoderConfig, SMPConfig, tiny
from smp_policy.smp.policy import SkillMoEPolicy

TASKS = ("lift", "pour")


def seeing(**encoder: object) -> SMPConfig:
    """The tiny preset with another encoder."""
    return replace(tiny(), encoder=replace(tiny().encoder, **encoder))


def everything() -> SMPConfig:
    """Motion, objects, three cameras, tasks as text: every kind of input at once."""
    return seeing(proprio=28, slots=4, cameras=3, tasks=0, text=5)


def normaliser(encoder: EncoderConfig) -> Normaliser:
    rng = np.random.default_rng(0)
    fields = encoder.slot_fields * bool(encoder.slots)
    flag = np.arange(fields) == 0  # stays 0 or 1
    return Normaliser(
        proprio_centre=rng.normal(size=encoder.proprio),
        proprio_scale=rng.uniform(0.3, 2.0, encoder.proprio),
        action_scale=rng.uniform(0.1, 1.0, 14),
        slot_centre=np.where(flag, 0.0, rng.normal(size=fields)),
        slot_scale=np.where(flag, 1.0, rng.uniform(0.3, 2.0, fields)),
    )


def contract(config: SMPConfig | None = None, **changes: object) -> Contract:
    config = config or tiny()
    vectors = np.random.default_rng(1).normal(size=(len(TASKS), config.encoder.text)).tolist()
    values = {
        "tasks": TASKS,
        "instructions": ("lift the bar", "pour it"),
        "task_vectors": tuple(map(tuple, vectors)) if config.encoder.text else (),
        "normaliser": normaliser(config.encoder),
        "config": config,
        "trained_in": "simulation",
        "cameras": names.CAMERAS[: config.encoder.cameras],
        "notes": {"seed": "3"},
    }
    return Contract(**values | changes)


def network(config: SMPConfig | None = None, seed: int = 0) -> SkillMoEPolicy:
    """Untrained, but its last layer is not silent and its coefficients have a scale."""
    torch.manual_seed(seed)
    made = SkillMoEPolicy(config or tiny())
    torch.nn.init.normal_(made.experts.out.w, std=0.3)
    for head, std in ((made.router.net[-1], 1.0), (made.basis.head[-1], 0.3)):
        torch.nn.init.normal_(head.weight, std=std)  # gates and bases that differ from one observation to the next
    k = made.config.experts
    made.standard.update(3.0 * torch.randn(64, *made.config.coefficients), torch.ones(64, k, dtype=torch.bool))
    return made.eval()


def backend(config: SMPConfig | None = None) -> TorchBackend:
    return TorchBackend(contract(config), network(config))


def folder(path: Path, config: SMPConfig | None = None, seed: int = 0) -> Path:
    """A model folder."""
    save(path, contract(config), network(config, seed).state_dict())
    return path


def query(seed: int = 0, rows: int = 0, task: str = "lift", **changes: object) -> Query:
    """Something of everything that a model may want; the first `rows` are committed."""
    rng = np.random.default_rng(seed)
    objects = rng.normal(size=(4, 14))
    objects[:, 0] = (1, 1, 0, 1)
    values = {
        "task": task,
        "q": rng.normal(size=14),
        "target": rng.normal(size=14),
        "objects": objects,
        "images": {camera: rng.integers(256, size=(240, 320, 3), dtype=np.uint8) for camera in names.CAMERAS},
        "committed": rng.normal(size=(rows, 14)) if rows else None,
    }
    return Query(**values | changes)
