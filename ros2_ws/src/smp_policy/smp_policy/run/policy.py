"""One observation to one action chunk: what is fed to the network and what is made of its answer.

The same code serves the policy node, evaluation and export's parity check; only `Backend.infer` differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from piper_bringup.data.images import policy_image
from smp_policy.run.contract import Contract, ContractError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Query:
    """All that a chunk is computed from, in radians, metres and pictures as `data.images.take` gives them."""

    task: str
    q: Floats  # (14,) measured at t_obs
    target: Floats  # (14,) set-points in force at t_obs
    objects: Floats | None = None  # (slots, F) ground truth of the simulated cell
    images: Mapping[str, NDArray[np.uint8]] | None = None  # camera -> (h, w, 3) RGB
    committed: Floats | None = None  # (n, 14) targets of the first n rows, which are executed whatever comes, n <= H


class Inputs(NamedTuple):
    """What a backend is given for one chunk; float32 unless said."""

    proprio: NDArray  # (P,)
    task: int | NDArray  # number, or vector (text,)
    slots: NDArray | None  # (slots, F)
    images: NDArray | None  # (cameras, 3, px, px) uint8
    noise: NDArray  # (H, K) standard normal
    gate_before: NDArray | None  # (K,) switches the sticky filter on
    prefix: NDArray  # (H, 14) normalised; zeros where not committed
    committed: NDArray  # (H,) bool


class Outputs(NamedTuple):
    """What it answers."""

    action: NDArray  # (H, 14) normalised
    gate: NDArray  # (K,)
    active: NDArray  # (K,) bool
    router: NDArray  # (K,) Dirichlet parameters; their sum says how sure the router is


class Backend(Protocol):
    """Computes a policy. `contract` says of which model."""

    contract: Contract

    def infer(self, inputs: Inputs) -> Outputs:
        """One chunk; deterministic in its inputs."""
        ...


@dataclass(frozen=True, eq=False)
class Chunk:
    """Rows due at t_obs + (i + 1) DT, and how they came about."""

    q: Floats  # (H, 14) rad and m
    gate: NDArray[np.float32]  # (K,)
    active: NDArray[np.bool_]  # (K,)
    router: NDArray[np.float32]  # (K,)


class Policy:
    """A model that runs. `reset` begins an episode; equal seeds and equal queries give equal chunks."""

    def __init__(self, backend: Backend, seed: int = 0, sticky: bool = False) -> None:
        """Refuses (ContractError) a model that does not fit this software. `sticky`: filter the gate (METHOD 3.5)."""
        backend.contract.refuse()
        self.contract = backend.contract
        self._backend, self._sticky = backend, sticky
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """An episode begins: noise from `seed` on, no gate before."""
        self._rng = np.random.default_rng(seed)
        self._gate: NDArray[np.float32] | None = None
        self._task: str | None = None

    def act(self, query: Query) -> Chunk:
        """Raises ContractError where the query lacks what the model wants; the policy is then as if not asked."""
        inputs = self.inputs(query)
        outputs = self._backend.infer(inputs)
        for name in ("action", "gate", "router"):
            if not np.isfinite(getattr(outputs, name)).all():
                raise ContractError(f"the model's {name} holds a number that is not finite: its weights are damaged")
        self._gate, self._task = outputs.gate, query.task
        q = self.contract.normaliser.decode(outputs.action, query.target)
        if query.committed is not None:
            q[: len(query.committed)] = query.committed  # not even rounded
        return Chunk(q, outputs.gate, outputs.active, outputs.router)

    def inputs(self, query: Query) -> Inputs:
        """The network's view of `query`, with this policy's next noise and gate. Raises as `act`."""
        config = self.contract.config
        q, target = (_finite(f"query.{name}", getattr(query, name), (config.action,)) for name in ("q", "target"))
        task = self.contract.task_input(query.task)
        prefix, is_committed = self._prefix(query, target)
        slots, images = self._slots(query), self._images(query)
        return Inputs(
            proprio=self.contract.normaliser.proprio(q, target),
            task=task,
            slots=slots,
            images=images,
            # Here nothing can be refused any more: a refused query takes no noise from those after it.
            noise=self._noise(),
            # A gate says who was at work on its task: another task begins without.
            gate_before=self._gate if self._sticky and query.task == self._task else None,
            prefix=prefix,
            committed=is_committed,
        )

    def _noise(self) -> NDArray[np.float32]:
        config = self.contract.config
        noise = self._rng.standard_normal(config.coefficients, np.float32)
        return noise * np.float32(config.diffusion.temperature)

    def _prefix(self, query: Query, target: Floats) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(H, 14) normalised and (H,): what is committed, and in which rows."""
        rows, columns = self.contract.config.rows, self.contract.config.action
        prefix, is_committed = np.zeros((rows, columns), np.float32), np.zeros(rows, bool)
        if query.committed is not None:
            n = len(query.committed)
            if n > rows:
                raise ContractError(f"query.committed: {n} rows, a chunk has {rows}")
            known = _finite("query.committed", query.committed, (n, columns))
            prefix[:n] = self.contract.normaliser.encode(known, target)
            is_committed[:n] = True
        return prefix, is_committed

    def _slots(self, query: Query) -> NDArray[np.float32] | None:
        if not self.contract.needs_objects:
            return None
        if query.objects is None:
            raise ContractError("query.objects: none; the model reads the simulated cell's ground truth")
        encoder = self.contract.config.encoder
        objects = _finite("query.objects", query.objects, (encoder.slots, encoder.slot_fields))
        return self.contract.normaliser.slots(objects)

    def _images(self, query: Query) -> NDArray[np.uint8] | None:
        if not self.contract.cameras:
            return None
        given = query.images or {}
        if missing := [camera for camera in self.contract.cameras if camera not in given]:
            raise ContractError(
                f"query.images: no {missing[0]}; the model wants cameras {', '.join(self.contract.cameras)}"
            )
        return np.stack([_picture(camera, given[camera]) for camera in self.contract.cameras])


def _finite(name: str, value: NDArray, shape: tuple[int, ...]) -> Floats:
    """`value` as float64. Raises ContractError naming it where it has another shape or a number is not finite."""
    value = np.asarray(value, np.float64)
    if value.shape != shape:
        raise ContractError(f"{name}: shape {value.shape}, wanted is {shape}")
    if not np.isfinite(value).all():
        raise ContractError(f"{name}: holds a number that is not finite")
    return value


def _picture(camera: str, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(3, px, px) of a taken picture."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ContractError(f"query.images of {camera}: {rgb.dtype} {rgb.shape}, wanted is uint8 (height, width, 3)")
    return policy_image(rgb).transpose(2, 0, 1)
