"""Every number of the method, with where it comes from, and the four presets.

"METHOD" numbers were measured on synthetic data for want of the paper's; nothing in the paper's public record gives
kappa, alpha, sigma_a, eps, the chunk length or the expert architecture.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class EncoderConfig:
    """What the policy sees, and how wide the shared feature s is."""

    proprio: int = 14
    """Joint positions and gripper openings; 28: then how far set-points are from them, which tells how they move."""
    slots: int = 4
    """Object slots of the simulated cell; 0: none (real robot, images)."""
    slot_fields: int = 14
    """Valid flag first, then pose, size, articulation."""
    tasks: int = 6
    """Tasks known by number; 0 when tasks are given as text vectors."""
    text: int = 0
    """Width of the text vector of a task; 0 when tasks are given by number."""
    task_width: int = 32
    """The task's share of the encoder's input: of the order of the other inputs (14 and 56), so none drowns."""
    cameras: int = 0
    """Cameras, each with a network of its own; 0: none."""
    channels: tuple[int, ...] = (16, 32, 64)
    """Channels after each halving of the picture: 96x96 ends as 12x12."""
    blocks: int = 1
    """Residual blocks at each size."""
    told: tuple[int, int] = (0, 0)
    """Slots, and fields of each, that cameras tell in place of all they see; (0, 0): all. `learn.train --told`."""
    width: int = 512
    depth: int = 3
    features: int = 256
    """E, width of s."""

    @property
    def tells(self) -> int:
        """Numbers that cameras tell; 0: the policy is given all that they see."""
        return self.told[0] * self.told[1]


@dataclass(frozen=True)
class BasisConfig:
    rho: float = 0.99
    """Bound of the adaptive part: cond(W) <= (1 + rho) / (1 - rho). One chunk moves along one or two directions, but
    they differ from chunk to chunk. At METHOD 3.2's 0.5 a basis cannot turn far enough to meet them: four to five
    experts are needed, and what selection drops is missed in closed loop. Gates do not starve of it."""
    bounded: bool = True
    """Or (ablation A2c) the adaptive part as long as its network makes it; ``rho`` is then not read."""
    centre: Literal["learned", "principal"] = "learned"
    """W0; or (ablation A2b, with rho = 0) the principal directions of the training data's chunks, which stay."""
    rank: int = 1
    """r, directions of each expert: one as the paper, or (ablation A8, METHOD 3.1) a block of several."""
    spans: Literal["row", "chunk"] = "row"
    """What a direction is one of: of rows, the same for all of a chunk; or (ablation A8) of chunks as a whole. Those
    have a single coefficient each, and committed rows cannot guide it."""
    width: int = 512
    depth: int = 2


@dataclass(frozen=True)
class GateConfig:
    kappa: float = 50.0
    """Persistence of the gate (Eq. 3): lag-one correlation kappa / (kappa + alpha0) = 0.99 (METHOD 3.13)."""
    alpha0: float = 0.5
    """Pull towards the usage theta (METHOD 3.13)."""
    alpha: float = 1.5
    """Spread of usage over experts; above 1 keeps all alive (METHOD 3.13: 1.3 to 2)."""
    concentration: tuple[float, float] = (2.0, 100.0)
    """Range of beta_0: below, gates are noise; above, KL loses digits (METHOD 1.4, 4.3).

    Both ends alike make a softmax gate with noise of one size (ablation A4, with `loss.gate` = 0): the posterior has
    nothing left to say but where the gate is. Without any noise the closed-form L_recon would be the mean gate's."""
    floor: float = 0.02
    """Least Dirichlet parameter anywhere: smaller ones lose digits in lnGamma (METHOD 4.3)."""
    policy_steps: int = 10_000
    """Policy steps in the training set: KL of the usage theta is paid once for all of them. The trainer sets it."""
    width: int = 128
    depth: int = 2


@dataclass(frozen=True)
class ExpertsConfig:
    width: int = 192
    blocks: int = 3
    time_width: int = 64
    """Sine features of the diffusion step: 32 frequencies tell 100 steps apart."""
    sees: Literal["all", "own"] = "all"
    """Whether an expert's input is every active coefficient or (ablation A7) its own alone."""


@dataclass(frozen=True)
class DiffusionConfig:
    train_steps: int = 100
    """As Diffusion Policy."""
    sample_steps: int = 10
    """DDIM, eta = 0 (METHOD 3.9)."""
    clip: float = 5.0
    """Standardised coefficients are kept within as many standard deviations (METHOD 3.8)."""
    eps: float = 1e-2
    """Added to the gate where a target is divided by it: 1e-6 let coefficients reach 1e5 (METHOD 3.8)."""
    error: Literal["noise", "velocity"] = "velocity"
    """Whose squared error L_coeff is. Of the noise (paper) the noisiest steps count next to nothing, abar = 0.02 of the
    velocity's (Salimans & Ho 2022): but there the experts decide from the state alone where the chunk goes."""
    temperature: float = 0.5
    """Of the noise that acting begins with, 1 being what was learned: half of it leaves a choice between ways, and a
    good part of the scatter around each is gone."""
    predicts: Literal["z", "u"] = "z"
    """What experts answer with: coefficients z = u / (g + eps), which the gate scales (Eq. 1), or (ablation A6)
    coordinates u as they are, so that the gate only says who acts."""
    mask_shares: tuple[float, float, float] = (0.7, 0.2, 0.1)
    """Training masks: the router's own selection, all experts, a random subset (METHOD 3.7)."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of Eq. 6 (METHOD 3.13). The paper writes 1 everywhere; the gate then collapses."""

    coeff: float = 30.0
    """Experts learn from this term alone, whatever its weight; the encoder, which all terms share, listens to it only
    at such a weight: its gradient is that much smaller than the others'."""
    recon: float = 3.0
    """What makes the basis meet the chunk."""
    gate: float = 0.03
    align: float = 1.0
    sigma2: float = 0.05
    """sigma_a^2: the reconstruction term is divided by twice this, so it weighs 10 a unit of squared action."""
    ramp: float = 0.2
    """Share of the training over which the gate term grows from 0 and targets move from q's divisor to the router's."""
    weigh: Literal["even", "energy"] = "energy"
    """What an active coefficient's noise counts in L_coeff: the same (paper), or as its error moves the arms, g^2."""
    reconstruct: Literal["expected", "mean"] = "expected"
    """Expectation over the gate in closed form, or (ablation A3) the paper's literal, degenerate mean gate."""
    stop: bool = True
    """Targets of L_coeff learn nothing. Or (ablation A11) basis and posterior may make them easier to foretell."""
    teaches_router: Literal["posterior", "action"] = "posterior"
    """L_align: towards q; or (ablation A11) L_recon at the router's own gate, which it alone learns from."""


@dataclass(frozen=True)
class Selection:
    """Which experts denoise (METHOD 1.5)."""

    rule: Literal["coverage", "top_k", "all"] = "coverage"
    tau: float = 0.95
    """Share of the gate mass to cover: the paper's default."""
    k: int = 2
    """Experts under "top_k"."""
    power: float = 2.0
    """Mass = gate^power: 2 is the share of action energy; 1 is the paper's linear ablation."""
    per_arm: bool = False
    """Coverage must hold for each arm's rows of the basis, so that a still gripper's expert is not dropped."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.tau <= 1.0:
            raise ValueError(f"selection.tau = {self.tau} must lie in [0, 1]")
        if self.k < 1:
            raise ValueError(f"selection.k = {self.k} must be at least 1: a policy without an expert does not move")


@dataclass(frozen=True)
class SMPConfig:
    action: int = 14
    """d: two arms of six joints and a gripper."""
    arms: tuple[int, ...] = (7, 7)
    """Rows of the action that belong to each arm, in order."""
    rows: int = 16
    """H, rows of a chunk; one gate and one basis a chunk."""
    experts: int = 8
    """K, as the paper."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    basis: BasisConfig = field(default_factory=BasisConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    network: ExpertsConfig = field(default_factory=ExpertsConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        if sum(self.arms) != self.action:
            raise ValueError(f"arms = {self.arms} has {sum(self.arms)} rows, action = {self.action}: they must agree")
        self._check_directions()
        if not 1 <= self.diffusion.sample_steps <= self.diffusion.train_steps:
            raise ValueError(
                f"diffusion.sample_steps must lie between 1 and train_steps = {self.diffusion.train_steps}"
            )
        if (self.encoder.tasks > 0) == (self.encoder.text > 0):
            raise ValueError("a task is known by number or by text: exactly one of encoder.tasks, encoder.text is > 0")

    def _check_directions(self) -> None:
        (length, needed), rank = self.directions, self.basis.rank
        whole = "action dimension" if self.basis.spans == "row" else "length of a chunk"
        for name, value in (("basis.rank", rank), ("experts", self.experts)):
            if not 1 <= value <= length:
                raise ValueError(f"{name} = {value} must lie between 1 and the {whole} {length}")
        if needed > length:
            raise ValueError(
                f"{self.experts} experts of basis.rank {rank} need {needed} directions, the {whole} is {length}; "
                f"valid: up to {length // rank} experts of this rank, or up to rank {length // self.experts}"
            )

    @property
    def directions(self) -> tuple[int, int]:
        """Shape of the basis: entries of a direction, d or H d, and how many there are, r K."""
        return self.action * (1 if self.basis.spans == "row" else self.rows), self.experts * self.basis.rank

    @property
    def coefficients(self) -> tuple[int, int]:
        """Shape of z: what an expert says of a chunk, H r or r numbers, and K."""
        return self.basis.rank * (self.rows if self.basis.spans == "row" else 1), self.experts


def tiny() -> SMPConfig:
    """For tests: every part, as narrow as it works."""
    return SMPConfig(
        encoder=EncoderConfig(slots=0, tasks=2, task_width=4, width=32, depth=1, features=32, channels=(8, 8)),
        basis=BasisConfig(width=32, depth=1),
        gate=GateConfig(width=32, depth=1),
        network=ExpertsConfig(width=32, blocks=2, time_width=16),
    )


def state() -> SMPConfig:
    """Proprioception, object slots, task number: trains on two cores in 45 minutes."""
    return SMPConfig(encoder=EncoderConfig(proprio=28))


def image() -> SMPConfig:
    """Three 96x96 cameras, proprioception, task number; no object slots."""
    return SMPConfig(encoder=EncoderConfig(proprio=28, slots=0, cameras=3))


def paper() -> SMPConfig:
    """The paper's sizes (Table 6): encoder 11.2 M, basis 12.5 M, gates 3.6 M, eight experts of 28.9 M."""
    seen = EncoderConfig(
        proprio=28,
        slots=0,
        cameras=3,
        channels=(64, 128, 256),
        blocks=2,
        task_width=64,
        width=768,
        depth=2,
        features=512,
    )
    return SMPConfig(
        encoder=seen,
        basis=BasisConfig(width=3232, depth=2),
        gate=GateConfig(width=1060, depth=2),
        network=ExpertsConfig(width=1536, blocks=4, time_width=264),
    )


def of_tasks(config: SMPConfig, tasks: int) -> SMPConfig:
    """The same policy for another number of tasks."""
    return replace(config, encoder=replace(config.encoder, tasks=tasks, text=0))


PRESETS = {"tiny": tiny, "state": state, "image": image, "paper": paper}
