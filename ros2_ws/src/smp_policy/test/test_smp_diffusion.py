"""Experts and diffusion: properties 12, 15 (coefficients) and 16 of the method's reference. Oracles in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from smp_policy.smp.config import DiffusionConfig, ExpertsConfig, tiny
from smp_policy.smp.diffusion import Diffusion, Standardiser, sample_times
from smp_policy.smp.ema import Ema
from smp_policy.smp.experts import Experts
from smp_policy.smp.policy import SkillMoEPolicy

torch.set_num_threads(1)

N, H, K, E = 3, 16, 8, 12


def experts(sees: str = "all", seed: int = 0) -> Experts:
    """With a voice: the last layer starts at zero, which would make every comparison trivial.

    The width is a multiple of any vector register: the odd ends of SiLU's vectors are rounded differently.
    """
    torch.manual_seed(seed)
    made = Experts(K, H, E, ExpertsConfig(width=32, blocks=2, time_width=16, sees=sees))
    torch.nn.init.normal_(made.out.w, std=0.3)
    return made.eval()


def masked(*active: tuple[int, ...]) -> Tensor:
    return torch.stack([torch.isin(torch.arange(K), torch.tensor(a)) for a in active])


S, GATE = torch.randn(N, E, generator=torch.Generator().manual_seed(1)), torch.full((N, K), 1.0 / K)
MASK = masked((1, 4), (4,), (1, 4, 6))
INDEX = torch.tensor([1, 4, 6])


@torch.no_grad()
def run(model: Experts, noise: Tensor, mask: Tensor = MASK, index: Tensor | None = None, rows: slice = slice(None)):
    conditioned = model.condition(S[rows], GATE[rows], mask[rows], index)
    return Diffusion(DiffusionConfig()).sample(lambda z, at: model(z, conditioned, at), noise[rows]) * conditioned.mask


def noise(seed: int = 2) -> Tensor:
    return torch.randn(N, H, K, generator=torch.Generator().manual_seed(seed))


def test_12_gathered_experts_are_the_dense_ones_exactly():
    model = experts()
    assert torch.equal(run(model, noise(), index=INDEX), run(model, noise()))


def test_12_inactive_coefficients_are_exactly_zero_and_their_noise_is_not_heard():
    model, other = experts(), torch.where(MASK.unsqueeze(1), noise(), noise(3))
    z = run(model, noise(), index=INDEX)
    assert torch.equal(z, run(model, other, index=INDEX))
    assert (z[~MASK.unsqueeze(1).expand_as(z)] == 0.0).all() and (z.abs().amax(1)[MASK] > 0.0).all()


def test_12_each_expert_alone_says_what_it_says_among_the_others():
    """One run an expert, all fed the same noisy coefficients at every step: what one session an expert would do."""
    model, z, step = experts(), noise(), torch.tensor([30])
    together = model(z, model.condition(S, GATE, MASK, INDEX), step)
    alone = sum(model(z, model.condition(S, GATE, MASK, INDEX[i : i + 1]), step) for i in range(3))
    torch.testing.assert_close(alone, together, rtol=0, atol=2e-6)
    assert (together.abs().amax(1) > 0.0).equal(MASK)


def test_12_a_batch_is_its_members():
    model = experts()
    whole = run(model, noise(), index=INDEX)
    for n in range(N):
        one = run(model, noise(), index=MASK[n].nonzero().flatten(), rows=slice(n, n + 1))
        torch.testing.assert_close(one, whole[n : n + 1], rtol=0, atol=2e-5)


@pytest.mark.parametrize(("sees", "heard"), [("all", True), ("own", False)])
def test_12_active_experts_hear_one_another_unless_they_see_their_own_alone(sees, heard):
    other = noise()
    other[..., 4] += 1.0
    before, after = (run(experts(sees), z, index=INDEX) for z in (noise(), other))
    assert (not torch.equal(before[0, :, 1], after[0, :, 1])) == heard
    assert not torch.equal(before[0, :, 4], after[0, :, 4])


def test_12_experts_share_no_weights():
    model = experts()
    z = model(noise(), model.condition(S, GATE, torch.ones(N, K, dtype=torch.bool)), torch.tensor([10]))
    z[..., 3].sum().backward()
    for stacked in (model.inp, model.blocks[0].up, model.blocks[1].down, model.out, model.film, model.time):
        touched = stacked.w.grad.flatten(1).abs().sum(1) > 0
        assert touched.tolist() == [i == 3 for i in range(K)]


def test_15_coefficients_come_back_from_standardising():
    torch.manual_seed(0)
    standard = Standardiser(H, K, 5.0)
    z = torch.randn(512, H, K) * torch.logspace(-2, 2, K) + 3.0
    standard.update(z, torch.ones(512, K, dtype=torch.bool))
    scaled = standard(z)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(H, K), rtol=0, atol=1e-3)
    torch.testing.assert_close(scaled.std(0), torch.ones(H, K), rtol=0, atol=1e-2)
    torch.testing.assert_close(standard.invert(scaled), z, rtol=1e-4, atol=1e-4)
    assert standard(z + 1e6).max() == 5.0


def test_15_statistics_are_those_of_active_samples_over_many_batches():
    torch.manual_seed(0)
    standard, batches = Standardiser(1, 2, 5.0), torch.randn(60, 200, 1, 2) * 0.5 + 2.0
    batches += torch.randn(60, 1, 1, 2)  # batches with means of their own: their spread is part of the deviation
    active = torch.rand(60, 200, 2) < torch.tensor([0.5, 0.0])
    for z, mask in zip(torch.where(active.unsqueeze(2), batches, 1e6), active, strict=True):
        standard.update(z, mask)
    heard = batches[..., 0, 0][active[..., 0]]
    torch.testing.assert_close(standard.mean[0, 0], heard.mean(), rtol=0, atol=0.02)
    torch.testing.assert_close(standard.std[0, 0], heard.std(), rtol=0.02, atol=0)
    assert standard.mean[0, 1] == 0.0 and standard.std[0, 1] == 1.0  # an expert never active keeps its numbers


# Coefficients distributed as N(MEAN, STD^2) have an optimal noise estimate in closed form.
MEAN, STD = 0.7, 0.3


def gaussian(diffusion: Diffusion):
    def predict(z: Tensor, step: Tensor) -> Tensor:
        abar = diffusion.abar[step].view(-1, 1, 1)
        return (z - abar.sqrt() * MEAN) * (1.0 - abar).sqrt() / (abar * STD**2 + 1.0 - abar)

    return predict


def test_16_schedule_is_the_cosine_one():
    abar = Diffusion(DiffusionConfig()).abar.double()
    f = [math.cos((k / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(101)]
    torch.testing.assert_close(abar[:99], torch.tensor(f[1:100]).double() / f[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(abar[99], abar[98] * 0.001, rtol=1e-4, atol=0)  # beta is capped
    assert sample_times(100, 10) == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0] and sample_times(100, 3) == [66, 33, 0]


def test_16_ddim_is_deterministic_and_reaches_the_distribution():
    diffusion = Diffusion(DiffusionConfig())
    start = torch.randn(400, H, K, generator=torch.Generator().manual_seed(0))
    z = diffusion.sample(gaussian(diffusion), start)
    assert torch.equal(z, diffusion.sample(gaussian(diffusion), start))
    assert abs(z.mean() - MEAN) < 0.05 and 0.7 < z.std() / STD < 1.05  # ten steps narrow it a little
    fine = diffusion.sample(gaussian(diffusion), start, steps=100)
    assert abs(fine.mean() - MEAN) < 0.01 and abs(fine.std() / STD - 1.0) < 0.03
    # The probability flow of a Gaussian is linear: every start ends at its own quantile.
    torch.testing.assert_close(fine, MEAN + STD * start, rtol=0, atol=0.1)


def test_16_with_every_training_step_its_mean_is_that_of_ddpm():
    diffusion = Diffusion(DiffusionConfig())
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(400, H, K, generator=generator)
    ddim = diffusion.sample(gaussian(diffusion), z, steps=100)
    abar = torch.cat((torch.ones(1), diffusion.abar))
    for k in reversed(range(100)):  # ancestral sampling, Ho et al. 2020, algorithm 2
        alpha = abar[k + 1] / abar[k]
        estimate = gaussian(diffusion)(z, torch.tensor([k]))
        z = (z - (1 - alpha) / (1 - abar[k + 1]).sqrt() * estimate) / alpha.sqrt()
        spread = ((1 - alpha) * (1 - abar[k]) / (1 - abar[k + 1])).sqrt()
        z = z + spread * torch.randn(z.shape, generator=generator)
    assert abs(ddim.mean() - z.mean()) < 0.01 and abs(ddim.std() / z.std() - 1.0) < 0.05


def test_weighed_by_energy_an_error_counts_as_it_moves_the_arms():
    diffusion, z, e = Diffusion(DiffusionConfig(error="noise")), torch.randn(N, H, K), torch.randn(N, H, K)
    step, weight = torch.tensor([5, 50, 99]), torch.rand(N, K)
    silent = lambda noisy, at: torch.zeros_like(noisy)  # noqa: E731
    want = (e.square() * (weight * MASK).unsqueeze(1)).sum() / ((weight * MASK).sum() * H)
    torch.testing.assert_close(diffusion.loss(silent, z, MASK, e, step, weight), want)
    even = diffusion.loss(silent, z, MASK, e, step)
    torch.testing.assert_close(diffusion.loss(silent, z, MASK, e, step, torch.full((N, K), 0.3)), even)


def test_16_noise_of_a_known_target_is_predicted_without_loss():
    diffusion, z = Diffusion(DiffusionConfig(error="noise")), torch.randn(N, H, K)
    step, e = torch.tensor([0, 50, 99]), torch.randn(N, H, K)
    abar = diffusion.abar[step].view(-1, 1, 1)

    def oracle(noisy: Tensor, at: Tensor) -> Tensor:
        return (noisy - abar.sqrt() * z) / (1.0 - abar).sqrt()

    every = torch.ones(N, K, dtype=torch.bool)
    assert diffusion.loss(oracle, z, every, e, step) < 1e-6
    zero = diffusion.loss(lambda noisy, at: torch.zeros_like(noisy), z, MASK, e, step)
    active = MASK.unsqueeze(1).expand_as(e)
    torch.testing.assert_close(zero, e[active].square().mean())  # inactive coefficients do not count


def test_the_error_of_the_velocity_is_what_counts_by_default():
    diffusion, z, e = Diffusion(DiffusionConfig()), torch.randn(N, H, K), torch.randn(N, H, K)
    step, every = torch.tensor([5, 50, 90]), torch.ones(N, K, dtype=torch.bool)
    abar = diffusion.abar[step].view(-1, 1, 1)
    velocity, answer = abar.sqrt() * e - (1.0 - abar).sqrt() * z, torch.randn(N, H, K)
    found = diffusion.loss(lambda noisy, at: diffusion.noise_of(answer, noisy, at), z, every, e, step)
    torch.testing.assert_close(found, (answer - velocity).square().mean(), rtol=1e-4, atol=0.0)


def test_16_known_rows_are_reached_exactly_and_pull_the_others_along():
    """Two rows that always agree: with one of them known, the other follows it."""
    diffusion = Diffusion(DiffusionConfig())

    heard = []

    def agreeing(z: Tensor, step: Tensor) -> Tensor:
        heard.append(z[:, :1])
        abar = diffusion.abar[step].view(-1, 1, 1)
        noise_var = (1.0 - abar) / 2.0  # of the mean of both rows, whose prior is N(0, 1)
        best = z.mean(1, keepdim=True) * abar.sqrt() / (abar + noise_var)
        return (z - abar.sqrt() * best) / (1.0 - abar).sqrt()

    start = torch.randn(2000, 2, 1, generator=torch.Generator().manual_seed(0))
    known, is_known = torch.full_like(start, 1.5), torch.tensor([True, False]).view(1, 2, 1)
    z = diffusion.sample(agreeing, start, known, is_known, steps=50)
    assert (z[:, 0] == 1.5).all()
    for seen, k in zip(heard, sample_times(100, 50), strict=True):  # the known row keeps to its own trajectory
        on_its_way = diffusion.noised(known, start, torch.tensor([k]))[:, :1]
        torch.testing.assert_close(seen, on_its_way, rtol=0, atol=1e-4)
    free = diffusion.sample(agreeing, start, steps=50)
    assert abs(free[:, 1].mean()) < 0.1 and z[:, 1].mean() > 1.0


def test_16_swapping_the_average_in_and_out_restores_every_bit():
    torch.manual_seed(0)
    policy = SkillMoEPolicy(tiny())
    ema = Ema(policy)
    for _ in range(3):
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter += torch.randn_like(parameter)
            policy.standard.mean += 1.0
        ema.update(policy)
    own = {name: value.clone() for name, value in policy.state_dict().items()}
    with pytest.raises(RuntimeError, match="inside"), ema.swapped(policy) as averaged:
        assert not torch.equal(averaged.basis.w0, own["basis.w0"])
        assert torch.equal(averaged.standard.mean, own["standard.mean"])  # buffers are copied, not averaged
        raise RuntimeError("inside")
    assert all(torch.equal(value, own[name]) for name, value in policy.state_dict().items())


def test_16_the_average_is_the_weighted_sum_of_the_weights_it_saw():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    ema, expected = Ema(layer), 0.0
    for n in range(1, 20):
        torch.nn.init.constant_(layer.weight, float(n))
        ema.update(layer)
        decay = 1.0 - (1.0 + n) ** -0.75
        expected = decay * expected + (1.0 - decay) * n
    assert ema.shadow["weight"].item() == pytest.approx(expected, rel=1e-5)
