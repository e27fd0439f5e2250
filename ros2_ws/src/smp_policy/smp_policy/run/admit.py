"""Whether a model can be run here: loaded and tried exactly as the policy node does it, before anything moves.

    python -m smp_policy.run.admit models/state --world simulation

Says what the model is; exit code 1 and one sentence where it is refused.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import tyro

from piper_bringup.cell.graphics import NoGraphics, open_context
from piper_bringup.data import names
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.open import open_backend
from smp_policy.run.policy import Policy
from smp_policy.run.rehearse import rehearse
from smp_policy.run.settings import Settings
from smp_policy.run.table import seen
from smp_policy.run.timed import Timed


class Admitted(NamedTuple):
    """A model that may fly."""

    backend: Timed
    policy: Policy
    took_ns: int  # for one chunk, rehearsed


def admit(settings: Settings, open_backend=open_backend) -> Admitted:
    """The model of these settings. Raises ContractError: it is not there, damaged, does not fit, or not for a robot."""
    folder = Path(settings.model)
    contract = Contract.read(folder)
    contract.refuse()
    _refuse_world(contract, settings)
    if settings.task:
        contract.task_input(settings.task)
    backend = Timed(open_backend(folder, settings.backend, settings.device))
    policy = Policy(backend, settings.seed, settings.sticky)
    return Admitted(backend, policy, rehearse(policy))


def _refuse_world(contract: Contract, settings: Settings) -> None:
    """Raises ContractError: models of the simulation on a robot."""
    if settings.world == "simulation":
        return
    if contract.needs_objects:
        text = "reads the ground truth of simulated objects, which a robot does not have"
        raise ContractError(f"{settings.model} {text}; parameter world:=simulation is for the cell")
    if contract.trained_in == "simulation" and not settings.allow_sim_model:
        text = "was trained in simulation and this is a robot; parameter allow_sim_model:=true runs it anyway"
        raise ContractError(f"{settings.model} {text}")


def _refuse_blindness(contract: Contract, args: Args) -> None:
    """Raises ContractError: a model that wants pictures, where the simulated cell cannot draw any."""
    if args.world == "robot" or not contract.cameras:
        return
    try:
        open_context(names.IMAGE_WIDTH, names.IMAGE_HEIGHT).free()
    except NoGraphics as error:
        raise ContractError(f"{args.model} sees cameras, and the simulated cell has none: {error}") from error


@dataclass(frozen=True)
class Args:
    """Say whether a model can be run here."""

    model: tyro.conf.Positional[str]
    """Folder of the model."""
    world: Literal["robot", "simulation"] = "robot"
    """Where it is to run."""
    backend: Literal["onnx", "torch"] = "onnx"
    """What computes it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is computed."""
    allow_sim_model: bool = False
    """On a robot: admit one that was trained in simulation."""
    tasks: tuple[str, ...] = ()
    """That it has to know."""


def run(args: Args) -> str:
    """What the model is. Raises ContractError, ValueError."""
    chosen = {name: getattr(args, name) for name in ("model", "world", "backend", "device", "allow_sim_model")}
    _, policy, took_ns = admit(Settings(**chosen))
    contract = policy.contract
    _refuse_blindness(contract, args)
    for task in args.tasks:
        contract.task_input(task)
    where = "; simulation only, it reads the cell's ground truth" if contract.needs_objects else ""
    tasks = ", ".join(contract.tasks)
    return f"model {args.model}{where}: {seen(contract)}; {took_ns * 1e-6:.1f} ms a chunk; tasks {tasks}"


def main() -> None:
    try:
        print(run(tyro.cli(Args, prog="python -m smp_policy.run.admit")))
    except (ContractError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
