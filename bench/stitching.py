"""Chunks of a policy, late and each a little wrong, made into one motion: the method chosen here against the others.

    python -m bench.stitching [--save]

RUNTIME's table with our code, first on motion that is known, then on recorded closed-loop runs of a model. Every method
gets the same observations, errors or noise, and latencies. Nothing runs in real time and nothing is started.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from bench.report import conclude, markdown
from bench.stitching_methods import METHODS, STRIDE_NS, Method, Motion, Timing
from bench.stitching_sources import ERROR_RAD, Run, Waves, record
from bench.stitching_verdict import EQUAL, Measure, measure, said, table_rows
from piper_bringup.cell.expert import COMMAND_NS
from smp_policy.run.contract import ContractError
from smp_policy.run.open import open_backend

# From an observation at hand to its chunk at the driver [ms], evenly spread: as the shipped model takes, as RUNTIME's
# table has it, and longer than a stride.
LATENCIES_MS = ((5, 15), (60, 140), (220, 300))
AGE_MS = 40
COLUMNS = ("latency ms", "method", "extra step p99.9 / max mrad", "rms jerk rad/s^3", "rms error mrad")
Key = tuple[tuple[int, int], Method]


@dataclass(frozen=True)
class Args:
    """Stitching of chunks."""

    model: Path = Path(__file__).parents[1] / "models" / "state"
    """Of the recorded runs, one that needs no cameras."""
    seeds: int = 8
    """Motions."""
    seconds: float = 20.0
    """Length of each."""
    episodes: int = 2
    """Recorded episodes of each of the model's tasks."""
    first_seed: int = 90_000
    """Of those."""
    save: bool = False
    """Write results/stitching.md."""

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.episodes < 0 or self.seconds < 2.0:
            raise ValueError("--seeds must be at least 1, --seconds at least 2, --episodes not negative")


def timing_of(seed: int, span_ms: tuple[int, int], until_ns: int) -> Timing:
    """Latencies of one motion, the same for every method."""
    count = until_ns // STRIDE_NS + 1
    took_ms = np.random.default_rng((seed, 2, *span_ms)).uniform(*span_ms, count)
    return Timing(AGE_MS * 1_000_000, [round(ms * 1e6) for ms in took_ms])


def compare(sources: Sequence[Waves | Run], progress: Callable[[], object]) -> dict[Key, list[Measure]]:
    """Every method at every latency: measures, one a source."""
    found: dict[Key, list[Measure]] = {(span, method): [] for span in LATENCIES_MS for method in METHODS}
    for source in sources:
        t_ns = np.arange(COMMAND_NS, source.until_ns + 1, COMMAND_NS)
        way, start = source.intent(t_ns), source.intent(np.array([0]))[0]
        for span, method in found:
            timing = timing_of(source.seed, span, source.until_ns)
            motion = Motion(method, start, source.chunk, timing).play(source.until_ns)
            found[span, method].append(measure(motion, source.meant(t_ns, motion), way))
        progress()
    return found


def recorded(args: Args, progress: Callable[[], object]) -> list[Run]:
    """Episodes of the model. Raises ContractError, also for one that needs cameras."""
    backend = open_backend(args.model, "onnx", "cpu")
    if backend.contract.cameras or not backend.contract.needs_objects:
        raise ContractError(f"{args.model} reads cameras; recorded runs want one that reads the cell's ground truth")
    runs = []
    for task in backend.contract.tasks:
        for seed in range(args.first_seed, args.first_seed + args.episodes):
            runs.append(record(backend, task, seed))
            progress()
    return runs


def notes(args: Args, known: dict[Key, list[Measure]], replayed: dict[Key, list[Measure]]) -> str:
    """The verdicts, the second table, and how to read both."""
    parts = [said("known motion", known)]
    if replayed:
        count = len(next(iter(replayed.values())))
        parts += [said("recorded runs", replayed, ("error", "jerk", "way")), f"## {count} recorded closed-loop runs"]
        parts += [markdown((*COLUMNS, "from the recorded way mrad"), table_rows(replayed, "way"))]
    off_mrad, stride_ms = round(ERROR_RAD * 1e3), STRIDE_NS // 1_000_000
    parts.append(
        f"""First table: {args.seeds} motions of {args.seconds:g} s, 14 joints; a chunk is off by up to {off_mrad} mrad;
one that is told committed rows goes over from what those are off to its own error by its last row, which is assumed
(RTC's mask) and kinder than a sampler need be. Second: episodes that the model did in process. It is asked again for
each method, with the same noise, about objects as they were and arms displaced by what the method's targets differ
from the recorded ones. What is meant is the model's first row, asked every 50 ms without noise. The error is from what
is meant where the method has the arms, for a policy whose arms are elsewhere means something else: it tells what a
method does within 50 ms, not how far it has come away. That is the last column: from what is meant on the recorded way.
Observations are {AGE_MS} ms old when they are at hand; strides {stride_ms} ms, or as long as a chunk takes. Targets
of the plan, 100 a second, before limits; grippers are metres, counted alike. Extra step: what a period moves beyond
what the way does. Equal: a paired difference (bootstrap over motions, 95 %) that contains 0, or is below {EQUAL:.0%} of
the other's mean. Averages are shown and not chosen: they turn two ways around something into one through it, which
neither table has."""
    )
    return "\n\n".join(parts)


def run(args: Args) -> None:
    """Both tables. Raises ContractError."""
    with tqdm(unit="motion", disable=None) as bar:
        waves = [Waves(seed, args.seconds) for seed in range(args.seeds)]
        known = compare(waves, bar.update)
        runs = recorded(args, bar.update) if args.episodes else []
        replayed = compare(runs, bar.update) if runs else {}
    conclude("Stitching of chunks", COLUMNS, table_rows(known), notes(args, known, replayed), args.save)


def main() -> None:
    """Play, measure, judge."""
    try:
        run(tyro.cli(Args, prog="python -m bench.stitching", description=__doc__))
    except (ContractError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
