"""Whether the exported graphs answer as the network does: the same observations to both, the largest differences.

Selected experts may differ where a sum of gate mass lies within 1e-5 of the threshold: there float32 decides, and no
two libraries add alike. Such observations are counted, and their chunks left out (METHOD 4.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piper_bringup.data import images
from piper_bringup.data.episode import Episode, EpisodeError, read
from piper_bringup.data.episode_files import find
from smp_policy.learn.pictures import shown
from smp_policy.run import graphs
from smp_policy.run.backend_onnx import OnnxBackend
from smp_policy.run.backend_torch import TorchBackend
from smp_policy.run.contract import Contract
from smp_policy.run.policy import Inputs, Policy, Query
from smp_policy.smp.config import Selection
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import Decision, SkillMoEPolicy
from smp_policy.smp.select import arm_masses

BASIS, GATE, CHUNK = 1e-5, 1e-5, 1e-4  # METHOD 5.1, test 17; a chunk's unit is the 99 % quantile of its motion
# By kind of observation. METHOD asks the above of random ones. Where a trained network knows what it sees, its answers
# are steeper: of recorded pictures, a gate differed by 1.1e-5 where the chunk did by 2e-5; the chunk is what counts.
ALLOWED = {
    "random": {"basis": BASIS, "gate": GATE, "chunk": CHUNK},
    "recorded": {"basis": CHUNK, "gate": CHUNK, "chunk": CHUNK},
}
BOUNDARY = 1e-5  # of the mass
BATCH = 50  # observations that torch answers at once: all eight experts of `paper` then take 100 MB of activations
# Of random pictures. A single colour is left out: GroupNorm then divides by almost nothing, 1/sqrt(1e-5), and blows a
# convolution's rounding up 300 times; chunks of an untrained network were 1e-4 to 4e-4 apart.
BLOCKS_PX = (1, 4, 24)


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences over some observations."""

    observations: int
    basis: float
    gate: float
    chunk: float
    other_experts: int
    """Observations with other active experts, away from the boundary: none is allowed."""
    at_the_boundary: int
    """Observations with other active experts at it: left out of `chunk`."""

    def exceeded(self, kind: str) -> list[str]:
        """What is not as it has to be with observations of a `kind`, in words. What is not finite is too large."""
        over = [(n, getattr(self, n), limit) for n, limit in ALLOWED[kind].items() if not getattr(self, n) <= limit]
        found = [f"{name} differs by {value:.1e}, allowed is {limit:g}" for name, value, limit in over]
        if self.other_experts:
            found.append(f"{self.other_experts} observations select other experts")
        return found


def compare(network: SkillMoEPolicy, graph: OnnxBackend, inputs: Iterable[Inputs]) -> Parity:
    """Both on the same inputs: the graphs one by one as on the robot, torch in batches, which is faster."""
    worst = dict.fromkeys(("basis", "gate", "chunk"), 0.0)
    count = other = at_boundary = 0
    waiting = iter(inputs)
    while batch := list(islice(waiting, BATCH)):
        decision, bases = _answers(network, batch)
        for i, given in enumerate(batch):
            seen = graph.encode(given)
            gate, basis = decision.gate[i].numpy(), bases[i].numpy()
            apart = {"basis": _apart(basis, seen.basis[0]), "gate": _apart(gate, seen.gate[0])}
            if np.array_equal(decision.active[i].numpy(), seen.active[0]):
                apart["chunk"] = _apart(decision.action[i].numpy(), graph.denoise(given, seen))
            elif near_boundary(gate, basis, graph.contract):
                at_boundary += 1
            else:
                other += 1
            worst |= {name: max(worst[name], value) for name, value in apart.items()}
        count += len(batch)
    return Parity(count, **worst, other_experts=other, at_the_boundary=at_boundary)


@torch.no_grad()
def _answers(network: SkillMoEPolicy, batch: Sequence[Inputs]) -> tuple[Decision, Tensor]:
    """The network's decisions and bases B(s) on a batch; without a gate before, the router's mean as at a reset."""
    blank = np.full(network.config.experts, 1.0 / network.config.experts, np.float32)
    resets = torch.tensor([x.gate_before is None for x in batch])
    rows = [x._replace(gate_before=blank if x.gate_before is None else x.gate_before) for x in batch]
    stack = {
        name: None if getattr(rows[0], name) is None else torch.from_numpy(np.stack([getattr(x, name) for x in rows]))
        for name in Inputs._fields
    }
    observation = Observation(*(stack.pop(name) for name in ("proprio", "task", "slots", "images")))
    decision = network.act(observation, resets=resets, **stack)
    return decision, network.basis(network.encoder(observation))


def _apart(a: NDArray, b: NDArray) -> float:
    """Largest difference; infinite where one is not a number, which max() would overlook."""
    apart = float(np.abs(a.astype(np.float64) - b).max())
    return apart if np.isfinite(apart) else float("inf")


def near_boundary(gate: NDArray, basis: NDArray, contract: Contract) -> bool:
    """Whether rounding decides who is active: gate (K,), basis (d, K)."""
    selection: Selection = contract.config.selection
    mass = gate.astype(np.float64) ** selection.power
    if selection.rule == "top_k":
        heaviest = np.sort(mass)[::-1]
        k = min(selection.k, len(mass) - 1)
        return bool(heaviest[k - 1] - heaviest[k] < BOUNDARY * mass.sum())
    if selection.rule == "all":
        return False
    parts = arm_masses(*map(torch.from_numpy, (mass, basis.astype(np.float64))), contract.config.arms).numpy()
    for part in parts if selection.per_arm else mass[None]:
        covered = np.cumsum(np.sort(part)[::-1])
        if (np.abs(covered - selection.tau * covered[-1]) < BOUNDARY * covered[-1]).any():
            return True
    return False


def random_inputs(contract: Contract, count: int, seed: int) -> Iterator[Inputs]:
    """Noise in every input: slots empty and filled, half with a gate before, 0 to H committed rows."""
    rng, c = np.random.default_rng(seed), contract.config
    ports = graphs.encode_inputs(contract)
    for i in range(count):
        slots = rng.standard_normal(ports["slots"].shape[1:], np.float32) if "slots" in ports else None
        if slots is not None:
            slots[:, 0] = rng.random(len(slots)) < 0.7
        n = int(rng.integers(c.rows + 1))
        prefix = rng.standard_normal((c.rows, c.action), np.float32)
        prefix[n:] = 0.0
        yield Inputs(
            proprio=rng.standard_normal(c.encoder.proprio, np.float32),
            task=contract.task_input(contract.tasks[i % len(contract.tasks)]),
            slots=slots,
            images=_pictures(rng, *ports["images"].shape[1:4]) if "images" in ports else None,
            noise=rng.standard_normal(c.coefficients, np.float32),
            gate_before=rng.dirichlet(np.ones(c.experts)).astype(np.float32) if i % 2 else None,
            prefix=prefix,
            committed=np.arange(c.rows) < n,
        )


def _pictures(rng: np.random.Generator, cameras: int, channels: int, px: int) -> NDArray[np.uint8]:
    """(cameras, 3, px, px): squares of random colours, of one size."""
    block = int(rng.choice([n for n in BLOCKS_PX if px % n == 0]))
    squares = rng.integers(256, size=(cameras, channels, px // block, px // block), dtype=np.uint8)
    return squares.repeat(block, -1).repeat(block, -2)


def recorded_inputs(backend: TorchBackend, paths: Sequence[Path], count: int, seed: int) -> Iterator[Inputs]:
    """Observations of episodes of the model's tasks, evenly spread, with the rows that came before as committed.

    Raises EpisodeError where there is none of them, or one lacks what the model reads.
    """
    contract, policy = backend.contract, Policy(backend, seed)
    files = [path for path in find(paths) if read(path, images=False).task in contract.tasks]
    if not files:
        raise EpisodeError(f"no episode of {', '.join(contract.tasks)} in {', '.join(map(str, paths))}")
    for number, path in enumerate(files):
        share = (number + 1) * count // len(files) - number * count // len(files)
        episode = read(path, images=bool(contract.cameras)) if share else None
        frames = shown(episode, contract.cameras) if share and contract.cameras else {}
        for row in np.linspace(1, len(episode) - 2, share).astype(int) if share else ():
            pictures = {camera: images.decode_jpeg(jpegs[row]) for camera, jpegs in frames.items()}
            yield policy.inputs(_query(episode, row, pictures))


def _query(episode: Episode, row: int, pictures: dict[str, NDArray[np.uint8]]) -> Query:
    return Query(
        task=episode.task,
        q=episode.state[row],
        target=episode.target[row],
        objects=None if episode.objects is None else episode.objects[row],
        images=pictures,
        committed=episode.action[row : row + row % 4],  # none to three rows: what latency commits
    )
