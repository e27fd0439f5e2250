"""What a trained model is, as JSON: it lies beside the weights and inside every exported graph.

A model is only meaningful together with the joints, rates, cameras, tasks and scales it was trained on; whoever runs
it compares these with what the robot has, and refuses with the name of the field that differs.

Version 2: chunks are relative to set-points, tasks may have vectors. In version 1 they were relative to what was
measured: such a model would answer with wrong positions, and is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data import names
from piper_bringup.data.images import POLICY_SIDE_PX
from smp_policy.run import fields
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp.config import SMPConfig

FILE = "contract.json"
FORMAT, VERSION = "smp-policy", 2
# Choices that came after the first contracts of this version, with what models did before there was one.
LATER = {
    "encoder": {"told": [0, 0]},
    "basis": {"bounded": True, "centre": "learned", "rank": 1, "spans": "row"},
    "loss": {"stop": True, "teaches_router": "posterior"},
}
World = Literal["simulation", "robot", "mixed"]


class ContractError(RuntimeError):
    """A model is not what it has to be: names the field, what it holds and what was wanted."""


@dataclass(frozen=True, eq=False)
class Contract:
    """Everything but the weights."""

    tasks: tuple[str, ...]
    """Names in the order of the task numbers."""
    instructions: tuple[str, ...]
    """What each task is in words."""
    normaliser: Normaliser
    config: SMPConfig
    trained_in: World
    """Where the demonstrations came from: on a robot, a model of "simulation" is refused unless asked for."""
    task_vectors: tuple[tuple[float, ...], ...] = ()
    """Where tasks are known by text: the vector of each, in the order of `tasks`."""
    cameras: tuple[str, ...] = ()
    """Of names.CAMERAS, in the order of the encoder's networks."""
    image_px: int = POLICY_SIDE_PX
    """Side of the square picture that the policy sees."""
    joints: tuple[str, ...] = names.JOINTS
    """Columns of state and action; radians, grippers in metres of opening."""
    dt_ns: int = names.DT_NS
    """Between the rows of a chunk."""
    stride: int = names.REPLAN_ROWS
    """Rows between two policy steps, in training as when it runs."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """How it was trained: data, steps, seed, software. Read by people only."""

    def __post_init__(self) -> None:
        encoder, d = self.config.encoder, self.config.action
        for name, has, wants in (
            ("tasks", len(self.tasks), encoder.tasks or max(1, len(self.tasks))),
            ("tasks (each once)", len(set(self.tasks)), len(self.tasks)),
            ("instructions", len(self.instructions), len(self.tasks)),
            ("task_vectors", len(self.task_vectors), len(self.tasks) if encoder.text else 0),
            ("cameras", len(self.cameras), encoder.cameras),
            ("cameras (each once)", len(set(self.cameras)), len(self.cameras)),
            ("joints", len(self.joints), d),
            ("normaliser.proprio_scale", len(self.normaliser.proprio_scale), encoder.proprio),
            ("normaliser.action_scale", len(self.normaliser.action_scale), d),
            ("normaliser.slot_scale", len(self.normaliser.slot_scale), encoder.slot_fields * bool(encoder.slots)),
            *((f"task_vectors[{i}]", len(vector), encoder.text) for i, vector in enumerate(self.task_vectors)),
        ):
            if has != wants:
                raise ContractError(f"contract.{name}: has {has} entries, the configuration wants {wants}")
        if encoder.proprio not in (d, 2 * d):
            raise ContractError(
                f"contract.config.encoder.proprio is {encoder.proprio}; valid: {d} (joints), {2 * d} (and their motion)"
            )

    @property
    def needs_objects(self) -> bool:
        """Whether it reads the simulation's ground truth: such a model runs nowhere else."""
        return self.config.encoder.slots > 0

    def task_number(self, task: str) -> int:
        """Raises ContractError naming the tasks that the model knows."""
        if task not in self.tasks:
            raise ContractError(f"task '{task}' is not one of the model's: {', '.join(self.tasks)}")
        return self.tasks.index(task)

    def task_input(self, task: str) -> int | NDArray[np.float32]:
        """What the network is told of a task: its number, or its vector (text,). Raises as `task_number`."""
        number = self.task_number(task)
        return np.array(self.task_vectors[number], np.float32) if self.task_vectors else number

    def refuse(self) -> None:
        """Raise ContractError, naming the field, where the model does not fit this software's arms and rates."""
        for name, has, wants in (
            ("joints", self.joints, names.JOINTS),
            ("dt_ns", self.dt_ns, names.DT_NS),
            ("config.rows", self.config.rows, names.HORIZON),
            ("stride", self.stride, names.REPLAN_ROWS),
            ("image_px", self.image_px, POLICY_SIDE_PX),
        ):
            if has != wants:
                raise ContractError(f"contract.{name}: the model has {has}, this software wants {wants}")
        if unknown := [camera for camera in self.cameras if camera not in names.CAMERAS]:
            raise ContractError(f"contract.cameras: {', '.join(unknown)} unknown; valid: {', '.join(names.CAMERAS)}")

    def to_json(self) -> str:
        """Equal contracts give equal text."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        values["normaliser"], values["config"] = self.normaliser.to_dict(), dataclasses.asdict(self.config)
        values["notes"] = dict(self.notes)
        return json.dumps({"format": FORMAT, "version": VERSION, **values}, indent=1, sort_keys=True, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Contract:
        """Undo `to_json`. Raises ContractError naming what is missing, unknown, of another type or version."""
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ContractError(f"contract: not JSON, or truncated ({error})") from error
        try:
            return fields.built(Contract, _current(values), "contract")
        except ValueError as error:
            raise ContractError(str(error)) from error

    @staticmethod
    def read(folder: Path) -> Contract:
        """That of a model folder. Raises ContractError, naming the folder, where there is none or it is damaged."""
        try:
            return Contract.from_json((folder / FILE).read_text())
        except FileNotFoundError as error:
            raise ContractError(f"{folder} is no model: {FILE} is missing") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ContractError(f"{folder / FILE} cannot be read: {error}") from error
        except ContractError as error:
            raise ContractError(f"{folder / FILE}: {error}") from error

    def differs(self, other: Contract) -> str | None:
        """The first field in which they differ, and both values; notes are for people and may differ."""
        ours, theirs = (json.loads(dataclasses.replace(c, notes={}).to_json()) for c in (self, other))
        return fields.difference(ours, theirs, "contract")


def _current(values: Any) -> dict[str, Any]:
    """The fields of a contract of this version. Raises ValueError for other files and other versions."""
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(f"contract: format is not {FORMAT}: this is another file")
    version = values.get("version")
    if type(version) is not int or version != VERSION:
        older = isinstance(version, int) and version < VERSION
        remedy = "train it again" if older else "a newer software wrote it"
        raise ValueError(f"contract: version is {version!r}, this software reads {VERSION}: {remedy}")
    current = {name: value for name, value in values.items() if name not in ("format", "version")}
    return current | {"config": _with_later(current["config"])} if isinstance(current.get("config"), dict) else current


def _with_later(config: dict[str, Any]) -> dict[str, Any]:
    """With LATER in parts that are there, unless they speak for themselves."""
    parts = {name: said | config[name] for name, said in LATER.items() if isinstance(config.get(name), dict)}
    return config | parts
