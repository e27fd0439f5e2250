"""Learning a new combination of known skills by the router alone (METHOD 3.14): everything else stays, bit for bit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smp_policy.smp import gate as gates
from smp_policy.smp import indicators
from smp_policy.smp.policy import Losses, Segments, SkillMoEPolicy
from smp_policy.smp.select import select

NOISE_LEVELS = (0.1, 0.4, 0.7)  # of the diffusion: what experts make of a little, half and much noise
ALIGN = 0.1  # weight of KL(q || p) with q frozen


class RouterOnly(nn.Module):
    """What to minimise instead of Eq. 6: how far the frozen experts' answers, weighted by the router, miss the action.

        ||A - ((g + eps) * sg(z0)) B^T||^2 / (2 sigma^2 H) + 0.1 KL(sg(q) || p)

    z0 is what all experts, asked together, estimate of their coefficients at three noise levels; only the gate that
    weighs them is learned. A skill that no expert has cannot be learned so.
    """

    def __init__(self, policy: SkillMoEPolicy) -> None:
        super().__init__()
        if policy.config.diffusion.predicts != "z":
            raise ValueError("router-only: experts of this model answer with u, which the gate does not scale")
        self.policy = policy
        for name, weights in policy.named_parameters():
            weights.requires_grad_(name.startswith("router."))

    def forward(self, batch: Segments, progress: float = 1.0, generator: torch.Generator | None = None) -> Losses:
        """Called as `SkillMoEPolicy.forward`; ``progress`` does not matter."""
        policy, c = self.policy.eval(), self.policy.config  # eval: coefficient statistics stay as well
        with torch.no_grad():
            s = policy.encoder(batch.observation)
            b = policy.basis(s)
            u = policy.coordinates(batch.action, b)
            q = policy.posterior(gates.posterior_input(s, batch.action, u))
        p = policy.router(s)
        g = gates.mean(p)
        miss = torch.stack([self._miss(batch.action, s, b, u, g, level, generator) for level in NOISE_LEVELS]).mean()
        align = gates.dirichlet_kl(q, p).mean()
        recon = miss / (2.0 * c.loss.sigma2)
        active = select(g, b, c.arms, c.selection)
        nothing = torch.zeros((), device=s.device)
        health = indicators.health(batch.action, u, q, p, active)
        return Losses(recon + ALIGN * align, nothing, recon, nothing, align, health)

    def _miss(
        self,
        action: Tensor,
        s: Tensor,
        b: Tensor,
        u: Tensor,
        g: Tensor,
        level: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Squared error of a row of the decoded chunk, scalar."""
        with torch.no_grad():
            z0 = self._answers(s.flatten(0, 1), u.flatten(0, 1), g.detach().flatten(0, 1), level, generator)
        decoded = self.policy.decode(z0.unflatten(0, action.shape[:2]), g, b)
        return (action - decoded).square().sum(-1).mean()

    def _answers(self, s: Tensor, u: Tensor, g: Tensor, level: float, generator: torch.Generator | None) -> Tensor:
        """What all experts estimate of their coefficients: s [M, E], u [M, H, K], g [M, K] -> [M, H, K]."""
        policy = self.policy
        every = torch.ones_like(g, dtype=torch.bool)
        z = policy.standard(policy.target(u, g))
        noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
        step = torch.tensor([int(level * policy.config.diffusion.train_steps)], device=z.device)
        noisy = policy.diffusion.noised(z, noise, step)
        estimate = policy.noise_estimate(s, g, every)(noisy, step)
        return policy.standard.invert(policy.diffusion.clean(noisy, estimate, step))
