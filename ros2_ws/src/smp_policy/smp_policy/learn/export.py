"""Write the ONNX graphs of a model beside its weights, and prove that they answer as the network does.

    python -m smp_policy.learn.export models/state --data data     with recorded observations beside random ones

encode.onnx and denoise.onnx hold the whole policy, contract included (`smp_policy.run.graphs` says what goes in and
out); a robot runs them without torch. They take the place of older ones only when basis and gate agree with torch to
1e-5 and chunks to 1e-4. parity.json keeps the differences that were found; the exit code is 1 when they are too large.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import onnxruntime
import torch
import tyro
from tqdm import tqdm

from piper_bringup.cell.graphics import NoGraphics
from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import parity, trace
from smp_policy.learn.parity import Parity
from smp_policy.run import graphs
from smp_policy.run.backend_onnx import OnnxBackend
from smp_policy.run.backend_torch import TorchBackend
from smp_policy.run.contract import ContractError
from smp_policy.run.policy import Inputs

REPORT = "parity.json"


@dataclass(frozen=True)
class Args:
    """Write the ONNX graphs of a model beside its weights, and prove that they answer as the network does."""

    model: tyro.conf.Positional[Path]
    """Folder with model.safetensors and contract.json."""
    data: tuple[Path, ...] = ()
    """Episode files, or folders of them: compared on recorded observations too."""
    observations: int = 1000
    """Random ones to compare on, and as many recorded ones."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.observations < 1:
            raise ValueError(f"--observations is {self.observations}, at least 1 is needed")


def run(args: Args) -> dict[str, Parity]:
    """Differences found, by kind of observation; the graphs are in place unless one is too large.

    Raises ContractError, EpisodeError, ExportError.
    """
    network = TorchBackend.of(args.model)
    observations, weights = _observations(args, network), graphs.digest(args.model)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=args.model) as place:
        fresh = Path(place)
        trace.write(fresh, network.contract, network.network, weights)
        found = _compare(observations, network, OnnxBackend(fresh, device="cpu"), args.observations)
        _report(args.model / REPORT, found, weights)
        if not _wrong(found):
            for name in graphs.GRAPHS:
                (fresh / name).replace(args.model / name)
    return found


def _observations(args: Args, network: TorchBackend) -> dict[str, Iterator[Inputs]]:
    """To compare on, by kind."""
    kinds = {"random": parity.random_inputs(network.contract, args.observations, args.seed)}
    if args.data:
        recorded = parity.recorded_inputs(network, args.data, args.observations, args.seed)
        kinds["recorded"] = chain([next(recorded)], recorded)  # what is missing is said before the long part
    return kinds


def _compare(
    observations: dict[str, Iterator[Inputs]], network: TorchBackend, graph: OnnxBackend, count: int
) -> dict[str, Parity]:
    """On one thread, as the graphs run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            kind: parity.compare(network.network, graph, tqdm(inputs, kind, count, disable=None))
            for kind, inputs in observations.items()
        }
    finally:
        torch.set_num_threads(threads)


def _wrong(found: dict[str, Parity]) -> list[str]:
    return [f"{kind}: {text}" for kind, p in found.items() for text in p.exceeded(kind)]


def _report(path: Path, found: dict[str, Parity], weights: str) -> None:
    """Keep the differences, with what they were allowed to be and between which programs."""
    kept = {
        "weights": weights,
        "allowed": {kind: parity.ALLOWED[kind] for kind in found},
        "found": {kind: dataclasses.asdict(p) for kind, p in found.items()},
        "passed": not _wrong(found),
        "software": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "opset": graphs.OPSET},
    }
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(kept, indent=1) + "\n")
    partial.replace(path)


def main() -> None:
    """Export, tell what was found."""
    try:
        args = tyro.cli(Args, prog="python -m smp_policy.learn.export", description=__doc__)
        found = run(args)
    except (ContractError, EpisodeError, NoGraphics, trace.ExportError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    for kind, p in found.items():
        print(
            f"{p.observations} {kind} observations: basis {p.basis:.1e}, gate {p.gate:.1e}, chunk {p.chunk:.1e}, "
            f"{p.at_the_boundary} at the boundary of selection"
        )
    if wrong := _wrong(found):
        sys.exit(f"error: the graphs were not put in place: {'; '.join(wrong)}; see {args.model / REPORT}")
    size = sum((args.model / name).stat().st_size for name in graphs.GRAPHS)
    print(f"{args.model}: {' and '.join(graphs.GRAPHS)}, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
