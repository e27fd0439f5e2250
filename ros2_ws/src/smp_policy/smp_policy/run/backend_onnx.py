"""Backend that computes a policy with ONNX Runtime, from the graphs that `learn.export` wrote. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smp_policy.run import graphs
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.policy import Inputs, Outputs

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS_ONLY = 3  # of ONNX Runtime's log levels: a node placed on the CPU beside a GPU is no news
_TYPES = {np.float32: "tensor(float)", np.int64: "tensor(int64)", np.uint8: "tensor(uint8)", np.bool_: "tensor(bool)"}


class Encoded(NamedTuple):
    """What encode.onnx answers, each with a leading 1; E features, K experts, k of them active."""

    s: NDArray  # (1, E)
    router: NDArray  # (1, K) Dirichlet parameters
    basis: NDArray  # (1, d, K)
    strength: NDArray  # (1, K) the router's mean
    gate: NDArray  # (1, K) that mean, or the sticky filter's
    active: NDArray  # (1, K) bool
    index: NDArray  # (k,) int64, ascending


class OnnxBackend:
    """A model folder behind `Backend.infer`. Bitwise reproducible on one thread of one machine."""

    def __init__(self, folder: Path, device: str = "auto", threads: int = 1) -> None:
        """`device` "cpu", "cuda", or "auto": CUDA where this ONNX Runtime has it. Ready (warmed up) when it returns.

        More than one thread seldom pays: the products are small. Raises ContractError.
        """
        self._encode, self._denoise = (_session(folder / name, device, threads) for name in graphs.GRAPHS)
        sessions = dict(zip(graphs.GRAPHS, (self._encode, self._denoise), strict=True))
        said = {name: _metadata(folder / name, session) for name, session in sessions.items()}
        self.contract: Contract = graphs.agreed(folder, said)
        for name, session in sessions.items():
            _check_ports(folder / name, session, graphs.INPUTS[name](self.contract))
        for name in sessions:
            graphs.check_seal(folder / name, said[name])
        self.device = "cuda" if self._denoise.get_providers()[0] == CUDA else "cpu"
        try:
            self.infer(_blank(self.contract))
        except _failures() as error:
            raise ContractError(f"{folder}: its graphs do not run: {_first_line(error)}") from error

    def infer(self, inputs: Inputs) -> Outputs:
        """See `Backend.infer`."""
        seen = self.encode(inputs)
        return Outputs(self.denoise(inputs, seen), seen.gate[0], seen.active[0], seen.router[0])

    def encode(self, inputs: Inputs) -> Encoded:
        """The first half: once a chunk."""
        before = inputs.gate_before
        feed = {
            "proprio": inputs.proprio[None],
            "task": np.asarray(inputs.task)[None],
            "gate_before": np.zeros((1, self.contract.config.experts), np.float32) if before is None else before[None],
            "sticky": np.array([[before is not None]]),
        }
        if inputs.slots is not None:
            feed["slots"] = inputs.slots[None]
        if inputs.images is not None:
            feed["images"] = inputs.images[None]
        return Encoded(*self._encode.run(graphs.ENCODED, feed))

    def denoise(self, inputs: Inputs, seen: Encoded) -> NDArray[np.float32]:
        """The second half: (H, 14) normalised, by the experts of `seen.index`, of which those of `seen.active` act."""
        feed = {
            "noise": inputs.noise[None],
            "s": seen.s,
            "basis": seen.basis,
            "strength": seen.strength,
            "active": seen.active,
            "index": seen.index,
            "prefix": inputs.prefix[None],
            "committed": inputs.committed[None],
        }
        return self._denoise.run(("action",), feed)[0][0]


def _session(path: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ContractError(f"{path.parent} has no {path.name}: export it (python -m smp_policy.learn.export MODEL)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Idle threads sleep instead of spinning: they would take the cores of the 100 Hz command thread (RUNTIME 0.7).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    providers = _providers(device)
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except _failures() as error:
        raise ContractError(f"{path} is truncated or damaged: {_first_line(error)}") from error
    if device == "cuda" and session.get_providers()[0] != CUDA:
        raise ContractError("device cuda: ONNX Runtime found no usable GPU; ask for cpu or auto")
    return session


def _metadata(path: Path, session: onnxruntime.InferenceSession) -> dict[str, str]:
    try:
        return session.get_modelmeta().custom_metadata_map
    except ValueError as error:  # not UTF-8
        raise ContractError(f"{path} is damaged: its metadata cannot be read: {error}") from error


def _providers(device: str) -> list[Any]:
    if device not in ("auto", "cpu", "cuda"):
        raise ContractError(f"device is {device!r}; valid: auto, cpu, cuda")
    there = CUDA in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise ContractError("device cuda: this ONNX Runtime is built without; install onnxruntime-gpu in its place")
    if device == "cpu" or not there:
        return [CPU]
    onnxruntime.preload_dlls()  # CUDA's libraries as Python packages bring them
    return [(CUDA, {"use_tf32": "0"}), CPU]  # TF32 keeps 10 bits: a chunk would be off by 1e-3


def _failures() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own, without a common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [x for x in vars(state).values() if isinstance(x, type) and issubclass(x, Exception)]
    return (*own, RuntimeError, ValueError, TypeError)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _check_ports(path: Path, session: onnxruntime.InferenceSession, wanted: dict[str, graphs.Port]) -> None:
    """Raise ContractError naming an input whose shape or type is not what the contract makes of it."""
    found = {port.name: (tuple(port.shape), port.type) for port in session.get_inputs()}
    wants = {name: (port.shape, _TYPES[port.dtype]) for name, port in wanted.items()}
    for name in sorted(found.keys() | wants.keys()):
        if found.get(name) != wants.get(name):
            raise ContractError(
                f"{path}: input {name} is {found.get(name, 'absent')}, its contract wants {wants.get(name, 'none')}"
            )


def _blank(contract: Contract) -> Inputs:
    """Zeros, to warm up with."""
    ports = graphs.encode_inputs(contract) | graphs.denoise_inputs(contract)
    zeros = {name: np.zeros(port.shape[1:], port.dtype) for name, port in ports.items() if name != "index"}
    given = {name: zeros.get(name) for name in Inputs._fields}
    return Inputs(**given | {"gate_before": None})
