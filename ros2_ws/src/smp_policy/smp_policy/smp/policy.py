"""The Skill Mixture-of-Experts Policy: `loss` trains it, `act` runs it.

    s = enc(observation)                                 encoder
    B = orth(W(s)), U = A B                              basis       Eq. 2
    q(g|s, A), p(g|s)                                    gate        Eq. 3
    z = sg(U) / (sg(g) + eps), standardised              coefficients
    A = ((g + eps) * Z) B^T                              decoder     Eq. 1

What trains what (asserted by test 10): L_recon the encoder, W and q; L_coeff the experts, and the encoder as their
conditioning; L_gate q and theta, and the encoder through q; L_align the router, and the encoder through it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smp_policy.smp import gate as gates
from smp_policy.smp import indicators
from smp_policy.smp.basis import BoundedBasis, coordinates, decode, in_rows_of
from smp_policy.smp.config import Selection, SMPConfig
from smp_policy.smp.diffusion import Diffusion, NoiseEstimate, Standardiser
from smp_policy.smp.encoder import Encoder, Observation
from smp_policy.smp.experts import Experts
from smp_policy.smp.reconstruction import expected_error, mean_gate_error
from smp_policy.smp.select import select


class Segments(NamedTuple):
    """N segments of L consecutive policy steps, one replanning stride apart, each within one episode."""

    observation: Observation  # leading dimensions [N, L]
    action: Tensor  # [N, L, H, d] normalised chunk that begins at each policy step
    starts: Tensor  # [N] bool: the segment begins its episode
    displaced: Tensor | None = None  # [N] bool: joints are not those in the pictures, cameras learn nothing from it


class Losses(NamedTuple):
    """Eq. 6 term by term, unweighted, each a scalar a policy step; ``total`` is what to minimise."""

    total: Tensor
    coeff: Tensor
    recon: Tensor
    gate: Tensor
    align: Tensor
    health: dict[str, Tensor]  # METHOD 4.2's collapse indicators, detached scalars


class Decision(NamedTuple):
    """One chunk and how it came about."""

    action: Tensor  # [N, H, d] normalised
    gate: Tensor  # [N, K] by which experts were selected; give it back as ``gate_before`` when filtering
    active: Tensor  # [N, K] bool
    z: Tensor  # [N, H, K] coefficients, 0 where inactive
    router: Tensor  # [N, K] Dirichlet parameters of p(g|s): their sum says how sure the router is


class SkillMoEPolicy(nn.Module):
    """See the module's text. N segments or environments, L policy steps, H rows, d actions, K experts, E features."""

    def __init__(self, config: SMPConfig) -> None:
        super().__init__()
        c, e, k = config, config.encoder.features, config.experts
        self.config = config
        self.encoder = Encoder(c.encoder)
        self.basis = BoundedBasis(e, *c.directions, c.basis)
        self.posterior = gates.DirichletHead(e + c.rows * c.action + 2 * k, k, c.gate)
        self.usage = gates.Usage(k, c.gate)
        self.router = gates.DirichletHead(e, k, c.gate)
        said, _ = c.coefficients
        self.experts = Experts(k, said, e, c.network)
        self.standard = Standardiser(said, k, c.diffusion.clip)
        self.diffusion = Diffusion(c.diffusion)

    # -- training ------------------------------------------------------------------------------------------------------

    def loss(self, batch: Segments, progress: float = 1.0, generator: torch.Generator | None = None) -> Losses:
        """All terms of Eq. 6 on a batch of segments. ``progress`` in [0, 1]: how much of the training is done."""
        w = self.config.loss
        ramp = min(progress / w.ramp, 1.0) if w.ramp > 0.0 else 1.0
        s = self.encoder(batch.observation, batch.displaced)  # [N, L, E]
        b = self.basis(s)  # [N, L, d, K]
        u = self.coordinates(batch.action, b)  # [N, L, H, K]
        q = self.posterior(gates.posterior_input(s, batch.action, u))  # beta, [N, L, K]
        p = self.router(s)

        recon = self._recon(batch.action, b, u, q).mean() / (2.0 * w.sigma2)
        gate = gates.gate_kl(q, self.usage(), batch.starts, self.config.gate)
        align = self._align(batch.action, b.detach(), u.detach(), q.detach(), p)
        divisor = torch.lerp(gates.mean(q), gates.mean(p), ramp)
        coeff = self._coeff(s.flatten(0, 1), b.flatten(0, 1), u.flatten(0, 1), divisor.flatten(0, 1), generator)
        total = w.coeff * coeff + w.recon * recon + ramp * w.gate * gate + w.align * align
        active = select(gates.mean(p), b.detach(), self.config.arms, self.config.selection)
        return Losses(total, coeff, recon, gate, align, indicators.health(batch.action, u, q, p, active))

    def forward(self, batch: Segments, progress: float = 1.0, generator: torch.Generator | None = None) -> Losses:
        """`loss`, by the name that DistributedDataParallel calls."""
        return self.loss(batch, progress, generator)

    def _recon(self, action: Tensor, b: Tensor, u: Tensor, beta: Tensor) -> Tensor:
        """Expected squared reconstruction error of each chunk, a row: [N, L]."""
        error = expected_error if self.config.loss.reconstruct == "expected" else mean_gate_error
        return error(action, b, u, beta, self.config.diffusion.eps) / self.config.rows

    def _align(self, action: Tensor, b: Tensor, u: Tensor, q: Tensor, p: Tensor) -> Tensor:
        """What the router learns from, scalar; q and the rest are stopped."""
        w = self.config.loss
        if w.teaches_router == "posterior":
            return gates.dirichlet_kl(q, p).mean()
        return self._recon(action, b, u, p).mean() / (2.0 * w.sigma2)

    def _coeff(self, s: Tensor, b: Tensor, u: Tensor, divisor: Tensor, generator: torch.Generator | None) -> Tensor:
        """L_coeff. Everything but the experts' conditioning s is stopped: B, the divisor and the target learn nothing
        (but for ablation A11).

        Flattened over [N, L] = M: s [M, E], b [M, d, K], u [M, H, K], divisor [M, K].
        """
        if self.config.loss.stop:
            u, b, divisor = u.detach(), b.detach(), divisor.detach()
        raw = self.target(u, divisor)
        with torch.no_grad():
            selected = select(divisor, b, self.config.arms, self.config.selection)
            if self.training:
                self.standard.update(raw, selected)
            mask = self._training_mask(selected, generator)
            noise = torch.randn(raw.shape, generator=generator, device=raw.device, dtype=raw.dtype)
            steps = self.config.diffusion.train_steps
            step = torch.randint(steps, raw.shape[:1], generator=generator, device=raw.device)
        z = self.standard(raw)
        weight = self.strength(divisor) ** 2 if self.config.loss.weigh == "energy" else None
        return self.diffusion.loss(self.noise_estimate(s, divisor, mask), z, mask, noise, step, weight)

    def noise_estimate(self, s: Tensor, gate: Tensor, mask: Tensor, index: Tensor | None = None) -> NoiseEstimate:
        """eps_theta of one chunk's experts: (z_k [M, H, K], step) -> [M, H, K], 0 where inactive."""
        conditioned = self.experts.condition(s, gate, mask, index)

        def estimate(z: Tensor, step: Tensor) -> Tensor:
            return self.diffusion.noise_of(self.experts(z, conditioned, step), z * conditioned.mask, step)

        return estimate

    def _training_mask(self, selected: Tensor, generator: torch.Generator | None) -> Tensor:
        """[M, K]: the router's own selection, all experts, or a random subset, in `mask_shares`."""
        own, every, _ = self.config.diffusion.mask_shares
        draw = torch.rand(selected.shape[0], 1, generator=generator, device=selected.device)
        vote = torch.rand(selected.shape, generator=generator, device=selected.device)
        subset = (vote > 0.5) | (vote == vote.amax(-1, keepdim=True))  # never empty
        return torch.where(draw < own, selected, subset | (draw < own + every))

    # -- acting --------------------------------------------------------------------------------------------------------

    def coordinates(self, action: Tensor, b: Tensor) -> Tensor:
        """U = A B, what experts are to say of a chunk: [..., H, d] -> [..., H, K]."""
        return in_rows_of(coordinates(action, b), self.config.experts)

    def target(self, u: Tensor, gate: Tensor) -> Tensor:
        """z = U / (g + eps): [..., H, K], [..., K] -> [..., H, K]."""
        return u / self.strength(gate).unsqueeze(-2)

    def strength(self, gate: Tensor) -> Tensor:
        """What an expert's answer is multiplied by, [..., K]: g + eps, or 1 where experts answer with u itself."""
        return gate + self.config.diffusion.eps if self.config.diffusion.predicts == "z" else torch.ones_like(gate)

    def decode(self, z: Tensor, gate: Tensor, b: Tensor) -> Tensor:
        """A = ((g + eps) * Z) B^T: exactly undoes the target's division. [..., H, K] -> [..., H, d]."""
        return in_rows_of(decode(z, self.strength(gate), b), self.config.action)

    def gate(self, router: Tensor, gate_before: Tensor | None, resets: Tensor | None) -> Tensor:
        """The router's mean or, given the gate before, the sticky filter's. Both [N, K].

        Environments that `resets` [N] bool names begin an episode: they take the router's mean.
        """
        mean = gates.mean(router)
        if gate_before is None:
            return mean
        filtered = gates.sticky_filter(router, gate_before, gates.mean(self.usage()), self.config.gate)
        return filtered if resets is None else torch.where(resets.unsqueeze(-1), mean, filtered)

    @torch.no_grad()
    def act(
        self,
        observation: Observation,
        noise: Tensor,
        gate_before: Tensor | None = None,
        resets: Tensor | None = None,
        prefix: Tensor | None = None,
        committed: Tensor | None = None,
        selection: Selection | None = None,
        steps: int | None = None,
    ) -> Decision:
        """One chunk for each of N observations. Encodes once, routes once, denoises the selected experts only.

        noise [N, H, K], standard normal, always full size, so that a chunk depends on nothing hidden.
        gate_before [N, K] switches the sticky filter on; resets [N] bool. The filtered gate says who acts; how strongly
        stays with the router's mean, by which the experts' targets were divided.
        prefix [N, H, d] with committed [N, H] bool: rows that will be executed anyway. The other rows are denoised in
        their company, and the committed ones are returned as they came.
        Raises ValueError for noise of another shape, and for a prefix without `committed` or the reverse.
        """
        self._check(observation, noise, prefix, committed)
        s = self.encoder(observation)
        b, router = self.basis(s), self.router(s)
        gate, strength = self.gate(router, gate_before, resets), gates.mean(router)
        active = select(gate, b, self.config.arms, selection or self.config.selection)
        index = active.any(0).nonzero().squeeze(-1)  # ascending; with N > 1 the union, masked for each environment
        z = self.denoise(s, strength, b, active, noise, index, prefix, committed, steps)
        action = self.decode(z, strength, b)
        if prefix is not None:
            action = torch.where(committed.unsqueeze(-1), prefix, action)
        return Decision(action, gate, active, z, router)

    def _check(self, observation: Observation, noise: Tensor, prefix: Tensor | None, committed: Tensor | None) -> None:
        expected = (len(observation.proprio), *self.config.coefficients)
        if tuple(noise.shape) != expected:
            raise ValueError(f"noise: expected {expected}, got {tuple(noise.shape)}")
        if (prefix is None) != (committed is None):
            raise ValueError("prefix and committed rows belong together: give both or neither")

    def denoise(
        self,
        s: Tensor,
        gate: Tensor,
        b: Tensor,
        active: Tensor,
        noise: Tensor,
        index: Tensor | None = None,
        prefix: Tensor | None = None,
        committed: Tensor | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """Coefficients Z [N, H, K], 0 where inactive. ``index`` [k] must hold every active expert; None runs all K."""
        known, is_known = None, None
        if prefix is not None and self.config.basis.spans == "row":
            known, is_known = self.standard(self.target(self.coordinates(prefix, b), gate)), self._known(committed)
        estimate = self.noise_estimate(s, gate, active, index)
        z = self.diffusion.sample(estimate, noise, known, is_known, steps)
        return self.standard.invert(z) * active.unsqueeze(-2)

    def _known(self, committed: Tensor) -> Tensor:
        """Which coefficients belong to committed rows: [N, H] bool -> [N, H r, 1]."""
        rank = self.config.basis.rank
        return (committed if rank == 1 else committed.repeat_interleave(rank, 1)).unsqueeze(-1)
