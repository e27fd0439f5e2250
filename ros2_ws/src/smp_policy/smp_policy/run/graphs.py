"""The two ONNX graphs of a model, described once for those who write them and those who run them. No torch.

    encode.onnx    observation, gate before -> s, router, basis, strength, gate, active, index
    denoise.onnx   noise, those, committed rows -> normalised chunk

Both are for one observation. `index` has as many entries as experts are active: `denoise` gathers their weights once,
then runs the whole DDIM loop. Everything numeric is inside; only radians and pictures are made outside (`policy`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smp_policy.run.contract import Contract, ContractError

WEIGHTS = "model.safetensors"
ENCODE, DENOISE = "encode.onnx", "denoise.onnx"
GRAPHS = (ENCODE, DENOISE)
FORMAT = "smp-policy-graph 1"
OPSET = 18  # LayerNormalization (17) and Split by number (18); what the TorchScript exporter of torch 2.13 writes well
_PART = 1 << 20  # bytes read at once
_SEAL, _BLANK = "sha256", b"0" * 64  # metadata key; what its value counts as while it is computed
ENCODED = ("s", "router", "basis", "strength", "gate", "active", "index")  # outputs of encode, in order


class Port(NamedTuple):
    """An input of a graph."""

    shape: tuple[int | str, ...]  # a name where the length is free
    dtype: type[np.generic]


def encode_inputs(contract: Contract) -> dict[str, Port]:
    """Inputs of encode.onnx, in order; pictures, slots and task as the model has them."""
    c, e = contract.config, contract.config.encoder
    ports = {
        "proprio": Port((1, e.proprio), np.float32),
        "task": Port((1, e.text), np.float32) if e.text else Port((1,), np.int64),
        "slots": Port((1, e.slots, e.slot_fields), np.float32),
        "images": Port((1, e.cameras, 3, contract.image_px, contract.image_px), np.uint8),
        "gate_before": Port((1, c.experts), np.float32),
        "sticky": Port((1, 1), np.bool_),  # whether gate_before counts
    }
    absent = {"slots": not e.slots, "images": not e.cameras}
    return {name: port for name, port in ports.items() if not absent.get(name)}


def denoise_inputs(contract: Contract) -> dict[str, Port]:
    """Inputs of denoise.onnx, in order."""
    c = contract.config
    return {
        "noise": Port((1, *c.coefficients), np.float32),
        "s": Port((1, c.encoder.features), np.float32),
        "basis": Port((1, *c.directions), np.float32),
        "strength": Port((1, c.experts), np.float32),  # the router's mean, by which coefficients were divided
        "active": Port((1, c.experts), np.bool_),
        "index": Port(("active experts",), np.int64),  # every active expert among them
        "prefix": Port((1, c.rows, c.action), np.float32),  # normalised
        "committed": Port((1, c.rows), np.bool_),
    }


INPUTS = {ENCODE: encode_inputs, DENOISE: denoise_inputs}


def digest(folder: Path) -> str:
    """SHA-256 of a model's weights."""
    found = hashlib.sha256()  # hashlib.file_digest came with Python 3.11, and RoboTwin's is 3.10
    with (folder / WEIGHTS).open("rb") as file:
        while part := file.read(_PART):
            found.update(part)
    return found.hexdigest()


def metadata(graph: str, contract: Contract, weights: str) -> dict[str, str]:
    """What a graph says of itself; `weights` is the digest of those it was made of."""
    return {
        "format": FORMAT,
        "graph": graph,
        "weights": weights,
        "opset": str(OPSET),
        "contract": contract.to_json(),
        _SEAL: _BLANK.decode(),
    }


def sealed(content: bytes) -> bytes:
    """A graph's file with its own digest in it, in place of the blank that `metadata` puts there."""
    at = content.rindex(_BLANK)
    return content[:at] + _digest_without_seal(content, at).encode() + content[at + len(_BLANK) :]


def check_seal(path: Path, said: Mapping[str, str]) -> None:
    """Raise ContractError where a byte of a graph's file is not as exported: a changed weight shows no other way."""
    content, seal = path.read_bytes(), said.get(_SEAL, "").encode()
    at = content.rfind(seal) if len(seal) == len(_BLANK) else -1
    if at < 0 or _digest_without_seal(content, at) != seal.decode():
        raise ContractError(f"{path} is damaged: its {_SEAL} is not that of its content; {_again(path.parent)}")


def _digest_without_seal(content: bytes, at: int) -> str:
    view, total = memoryview(content), hashlib.sha256()
    for part in (view[:at], _BLANK, view[at + len(_BLANK) :]):
        total.update(part)
    return total.hexdigest()


def agreed(folder: Path, found: Mapping[str, Mapping[str, str]]) -> Contract:
    """The contract of a model, from the metadata of its graphs by file name.

    Raises ContractError, naming the field, where a graph is another file than its name says, where the graphs differ
    from each other, or from the contract or the weights that lie beside them.
    """
    contracts = {graph: _contract(folder, graph, said) for graph, said in found.items()}
    first, *others = contracts
    for name in ("weights", "opset"):
        for other in others:
            if found[other][name] != found[first][name]:
                raise ContractError(f"{folder}: {name} of {first} and {other} differ: {_again(folder)}")
    beside = dict(contracts)
    if (folder / "contract.json").exists():
        beside["contract.json"] = Contract.read(folder)
    for other in list(beside)[1:]:
        if said := contracts[first].differs(beside[other]):
            raise ContractError(f"{folder}: {first} and {other} differ in {said}: {_again(folder)}")
    if (folder / WEIGHTS).exists() and digest(folder) != found[first]["weights"]:
        raise ContractError(f"{folder}: weights of {first} are not those of {WEIGHTS}: {_again(folder)}")
    return contracts[first]


def _contract(folder: Path, graph: str, said: Mapping[str, str]) -> Contract:
    wants = {"format": FORMAT, "graph": graph}
    for name, wanted in wants.items():
        if said.get(name) != wanted:
            raise ContractError(f"{folder / graph}: {name} is {said.get(name)!r}, wanted is {wanted!r}")
    if missing := [name for name in ("weights", "opset", "contract") if name not in said]:
        raise ContractError(f"{folder / graph}: its metadata lacks {missing[0]}")
    try:
        return Contract.from_json(said["contract"])
    except ContractError as error:
        raise ContractError(f"{folder / graph}: {error}") from error


def _again(folder: Path) -> str:
    return f"export it again (python -m smp_policy.learn.export {folder.name})"
