"""One observation to one chunk, torch and ONNX Runtime, on one thread; two experts of eight against all eight.

    python -m bench.chunk_latency [--paper] [--chunks 200] [--save]

Policy.act as the node calls it: pictures of 320x240 made small, normalised, encoded, routed, denoised in ten steps,
decoded, back to radians. Weights are untrained (time does not know the difference) and two experts are selected, as a
trained policy does on average. `paper` takes 3 GB of disk and as much memory for a while.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro

from bench.report import conclude, milliseconds
from piper_bringup.data import names
from smp_policy.learn import trace
from smp_policy.learn.parity import random_inputs
from smp_policy.run import graphs
from smp_policy.run.backend_onnx import OnnxBackend
from smp_policy.run.backend_torch import TorchBackend, load, save
from smp_policy.run.contract import Contract
from smp_policy.run.normaliser import Normaliser
from smp_policy.run.open import open_policy
from smp_policy.run.policy import Policy, Query
from smp_policy.smp.config import PRESETS, Selection, SMPConfig
from smp_policy.smp.policy import SkillMoEPolicy

ACTIVE = 2
REACH_MS = {"state": 10, "image": 50}  # house plan: ONNX, one thread
FASTER = 3  # house plan: denoising with 2 of 8 experts
COLUMNS = ("preset", "what", "p50 ms", "p99 ms", "max ms", "to reach")


@dataclass(frozen=True)
class Args:
    """Time of one chunk."""

    chunks: int = 200
    """Timed in each row, after three that are not; a tenth of them for `paper`."""
    paper: bool = False
    """Also the paper's sizes: 259 M weights."""
    save: bool = False
    """Write results/chunk_latency.md."""


def model(folder: Path, config: SMPConfig) -> Path:
    """An untrained model folder with its graphs."""
    config = replace(config, selection=Selection(rule="top_k", k=ACTIVE))
    seen = config.encoder
    fields = seen.slot_fields * bool(seen.slots)
    ones = (np.zeros(seen.proprio), np.ones(seen.proprio), np.ones(config.action), np.zeros(fields), np.ones(fields))
    contract = Contract(
        tasks=tuple(f"task {i}" for i in range(seen.tasks)),
        instructions=("",) * seen.tasks,
        normaliser=Normaliser(*ones),
        config=config,
        trained_in="simulation",
        cameras=names.CAMERAS[: seen.cameras],
    )
    torch.manual_seed(0)
    save(folder, contract, SkillMoEPolicy(config).state_dict())
    trace.write(folder, *load(folder), graphs.digest(folder))
    return folder


def durations_ns(actions: Sequence[Callable[[], object]], count: int) -> np.ndarray:
    """(actions, count): durations of the actions taken in turn, so that what slows the machine slows all of them."""
    samples = np.zeros((len(actions), count), np.int64)
    for i in range(-3, count):
        for j, action in enumerate(actions):
            start_ns = time.perf_counter_ns()
            action()
            if i >= 0:
                samples[j, i] = time.perf_counter_ns() - start_ns
    return samples


def made_up() -> Query:
    """An observation."""
    rng = np.random.default_rng(0)
    return Query(
        task="task 0",
        q=rng.normal(size=len(names.JOINTS)),
        target=rng.normal(size=len(names.JOINTS)),
        objects=np.ones((4, 14)),
        images={camera: rng.integers(256, size=(240, 320, 3), dtype=np.uint8) for camera in names.CAMERAS},
        committed=rng.normal(size=(2, len(names.JOINTS))),
    )


def chunk_rows(preset: str, folder: Path, count: int) -> list[tuple[object, ...]]:
    """Policy.act of both backends."""
    query = made_up()
    policies = [open_policy(folder, kind, "cpu") for kind in ("torch", "onnx")]
    # One after the other: in turn, each would find the other's weights in the cache.
    torch_ns, onnx_ns = (durations_ns([lambda p=p: p.act(query)], count)[0] for p in policies)
    reach = f"{REACH_MS[preset]} ms" if preset in REACH_MS else "-"
    return [
        (preset, "chunk, torch", *milliseconds(torch_ns), "-"),
        (preset, "chunk, ONNX", *milliseconds(onnx_ns), reach),
    ]


def expert_rows(preset: str, folder: Path, count: int) -> list[tuple[object, ...]]:
    """The halves of a chunk in ONNX; the second with few experts and, by its inputs alone, with all of them."""
    start_ns = time.perf_counter_ns()
    graph = OnnxBackend(folder, "cpu")
    opened_ns = time.perf_counter_ns() - start_ns
    given = next(random_inputs(graph.contract, 1, 0))
    few = graph.encode(given)
    every = few._replace(active=np.ones_like(few.active), index=np.arange(graph.contract.config.experts))
    halves = [lambda: graph.encode(given), lambda: graph.denoise(given, few), lambda: graph.denoise(given, every)]
    encode_ns, few_ns, every_ns = durations_ns(halves, count)
    ratio = np.median(every_ns) / np.median(few_ns)
    k, reach = len(every.index), "-" if preset == "tiny" else f"{FASTER} times"  # there, nodes cost more than numbers
    return [
        (preset, "ONNX: encode, route, select", *milliseconds(encode_ns), "-"),
        (preset, f"ONNX: denoise, {len(few.index)} of {k} experts", *milliseconds(few_ns), "-"),
        (preset, f"ONNX: denoise, {k} of {k}: {ratio:.1f} times slower", *milliseconds(every_ns), reach),
        (preset, "ONNX: open, warmed up", *milliseconds([opened_ns]), "-"),
    ]


def torch_row(preset: str, folder: Path, count: int) -> tuple[object, ...]:
    """Policy.act in torch, by another selection alone with all experts; how much slower, taken in turn with few."""
    backend = TorchBackend.of(folder)
    policy, query, experts = Policy(backend), made_up(), backend.network.config.experts
    few = backend.network.config
    every = replace(few, selection=Selection(rule="all"))

    def act(config: SMPConfig) -> None:
        backend.network.config = config
        policy.act(query)

    few_ns, every_ns = durations_ns([lambda: act(few), lambda: act(every)], count)
    ratio = np.median(every_ns) / np.median(few_ns)
    return (preset, f"chunk, torch, {experts} of {experts}: {ratio:.1f} times slower", *milliseconds(every_ns), "-")


def main(args: Args) -> None:
    """One preset after the other."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = []
    for preset in ("tiny", "state", "image", *(("paper",) if args.paper else ())):
        with tempfile.TemporaryDirectory() as place:
            folder = model(Path(place), PRESETS[preset]())
            count = max(1, args.chunks // 10) if preset == "paper" else args.chunks
            rows += [*chunk_rows(preset, folder, count), torch_row(preset, folder, count)]
            rows += expert_rows(preset, folder, count)
    notes = (
        f"One thread, CPU. {args.chunks} chunks a row (paper: a tenth), {ACTIVE} of 8 experts active, 10 denoising "
        "steps, two committed rows. Untrained weights; image and paper see three cameras as 96x96. "
        "What is slower with all experts: of ONNX, denoising; of torch, whole chunks."
    )
    conclude("Latency of a chunk", COLUMNS, rows, notes, args.save)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m bench.chunk_latency"))
