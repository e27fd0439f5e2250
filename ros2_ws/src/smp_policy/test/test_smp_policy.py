"""The policy as a whole: properties 10 (gradient map) and 13 (resets) of the method's reference, and committed rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from smp_policy.smp import gate as gates
from smp_policy.smp.basis import coordinates
from smp_policy.smp.config import LossConfig, Selection, tiny
from smp_policy.smp.encoder import Observation
from smp_policy.smp.policy import Decision, Segments, SkillMoEPolicy
from smp_policy.smp.transfer import RouterOnly

torch.set_num_threads(1)

N, L, H, D, K = 5, 3, 16, 14, 8


def made() -> SkillMoEPolicy:
    """A policy whose experts speak: their last layer starts at zero, which would hide what they hear."""
    torch.manual_seed(0)
    policy = SkillMoEPolicy(tiny())
    torch.nn.init.normal_(policy.experts.out.w, std=0.1)
    return policy


def segments(seed: int = 0) -> Segments:
    g = torch.Generator().manual_seed(seed)
    task = torch.randint(2, (N, L), generator=g)
    starts = torch.tensor([True, False, False, True, False])
    return Segments(Observation(torch.randn(N, L, D, generator=g), task), torch.randn(N, L, H, D, generator=g), starts)


def observation(n: int = N, seed: int = 1) -> Observation:
    g = torch.Generator().manual_seed(seed)
    return Observation(torch.randn(n, D, generator=g), torch.randint(2, (n,), generator=g))


def noise(n: int = N, seed: int = 2) -> Tensor:
    return torch.randn(n, H, K, generator=torch.Generator().manual_seed(seed))


# Term -> parts that it trains; every other cell must stay without gradient.
GRADIENT_MAP = {
    "recon": {"encoder", "basis", "posterior"},
    "coeff": {"encoder", "experts"},
    "gate": {"encoder", "posterior", "usage"},
    "align": {"encoder", "router"},
}
PARTS = ("encoder", "basis", "posterior", "usage", "router", "experts")


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("term", GRADIENT_MAP)
def test_10_each_term_trains_its_parts_and_no_other(term, progress):
    policy = made()
    losses = policy.loss(segments(), progress, torch.Generator().manual_seed(0))
    getattr(losses, term).backward()
    for part in PARTS:
        parameters = [(n, p) for n, p in getattr(policy, part).named_parameters() if not n.startswith("task")]
        if part in GRADIENT_MAP[term]:
            silent = [n for n, p in parameters if p.grad is None or not p.grad.any()]
            assert not silent, f"{term} should train {part}, but left {silent}"
        else:
            assert all(p.grad is None for _, p in parameters), f"{term} must not train {part}"


@pytest.mark.parametrize(
    ("changes", "term", "trained"),
    [
        ({"stop": False}, "coeff", {"encoder", "experts", "basis", "posterior"}),
        ({"teaches_router": "action"}, "align", {"encoder", "router"}),
    ],
)
def test_10_what_ablation_11_changes(changes, term, trained):
    torch.manual_seed(0)
    policy = SkillMoEPolicy(replace(tiny(), loss=replace(LossConfig(), **changes)))
    torch.nn.init.normal_(policy.experts.out.w, std=0.1)
    getattr(policy.loss(segments(), 0.1, torch.Generator().manual_seed(0)), term).backward()
    heard = {part for part in PARTS if any(p.grad is not None for p in getattr(policy, part).parameters())}
    assert heard - {"router"} == trained - {"router"}, "at half the ramp the divisor is the router's as well"
    assert ("router" in heard) == (term == "align" or not changes.get("stop", True))


def test_10_the_total_is_the_weighted_sum_and_the_gate_term_ramps_up():
    policy, w = made(), LossConfig()
    for progress, ramp in ((0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (1.0, 1.0)):
        x = policy.loss(segments(), progress, torch.Generator().manual_seed(0))
        total = w.coeff * x.coeff + w.recon * x.recon + ramp * w.gate * x.gate + w.align * x.align
        torch.testing.assert_close(x.total, total)


def test_10_targets_are_divided_by_the_router_once_the_ramp_is_over(monkeypatch):
    policy, seen = made(), []
    target = policy.target
    monkeypatch.setattr(policy, "target", lambda u, divisor: seen.append(divisor) or target(u, divisor))
    data = segments()
    for progress in (0.0, 1.0):
        policy.loss(data, progress)
    s = policy.encoder(data.observation)
    u = coordinates(data.action, policy.basis(s))
    q = gates.mean(policy.posterior(gates.posterior_input(s, data.action, u)))
    torch.testing.assert_close(seen[0], q.flatten(0, 1))
    torch.testing.assert_close(seen[1], gates.mean(policy.router(s)).flatten(0, 1))


def test_10_a_step_is_reproducible_from_its_generator():
    losses = [made().loss(segments(), 1.0, torch.Generator().manual_seed(3)).total for _ in range(2)]
    assert torch.equal(*losses)


def test_10_training_masks_are_the_selection_all_experts_or_a_random_few():
    selected = torch.arange(K).expand(4000, K) < 2
    masks = made()._training_mask(selected, torch.Generator().manual_seed(0))
    own, every = (masks == selected).all(-1).float().mean(), masks.all(-1).float().mean()
    assert abs(own - 0.7) < 0.03 and abs(every - 0.2) < 0.03 and masks.any(-1).all()


def test_13_identical_episodes_have_identical_gates_whatever_came_before():
    policy = made().eval()
    steps = [observation(2, seed) for seed in range(4)]

    def episode(before: Tensor) -> list[Tensor]:
        found, resets = [], torch.tensor([True, True])
        for o in steps:
            before = policy.act(o, noise(2), before, resets).gate
            found.append(before)
            resets = torch.tensor([False, False])
        return found

    first, second = episode(torch.full((2, K), 1.0 / K)), episode(torch.softmax(torch.arange(16.0).view(2, K), -1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_13_resetting_one_environment_leaves_the_others_alone():
    policy, before = made().eval(), torch.softmax(torch.randn(N, K), -1)
    resets = torch.tensor([False, True, False, False, False])
    some, none = (policy.act(observation(), noise(), before, r) for r in (resets, ~torch.ones_like(resets)))
    assert torch.equal(some.gate[~resets], none.gate[~resets])
    torch.testing.assert_close(some.gate[1], gates.mean(some.router)[1])
    assert (some.gate[1] - none.gate[1]).abs().max() > 0.01


def test_13_without_a_gate_before_the_router_alone_decides():
    decision = made().eval().act(observation(), noise())
    assert torch.equal(decision.gate, gates.mean(decision.router))


def test_13_the_filter_selects_and_the_router_scales():
    policy = made().eval()
    held = torch.eye(K)[torch.tensor([3]).expand(N)]
    free = policy.act(observation(), noise(), selection=Selection(rule="all"))
    filtered = policy.act(observation(), noise(), held, selection=Selection(rule="all"))
    assert torch.equal(filtered.action, free.action)  # everyone acts: the gate before changes nothing
    chosen = policy.act(observation(), noise(), held, selection=Selection(rule="top_k", k=1)).active
    assert chosen[:, 3].all() and chosen.sum() == N


def act(policy: SkillMoEPolicy, selection: Selection | None = None, **more) -> Decision:
    return policy.act(observation(), noise(), selection=selection, **more)


def test_9_all_experts_by_top_k_act_as_all_experts():
    policy = made().eval()
    assert torch.equal(act(policy, Selection(rule="top_k", k=K)).action, act(policy, Selection(rule="all")).action)


def test_12_what_is_not_selected_contributes_nothing():
    policy = made().eval()
    decision = act(policy, Selection(rule="top_k", k=2))
    assert (decision.active.sum(-1) == 2).all() and decision.action.shape == (N, H, D)
    assert (decision.z.abs().amax(1) > 0).equal(decision.active)


def test_5_decoding_with_the_routers_gate_gives_back_the_action_within_the_span():
    policy = made().eval()
    s = policy.encoder(observation())
    b, gate, action = policy.basis(s), gates.mean(policy.router(s)), torch.randn(N, H, D)
    z = policy.target(coordinates(action, b), gate)
    torch.testing.assert_close(policy.decode(z, gate, b), action @ b @ b.mT, rtol=0, atol=1e-5)


def test_committed_rows_come_back_as_they_were_and_the_rest_is_denoised_in_their_company():
    policy = made().eval()
    policy.standard.update(torch.randn(64, H, K), torch.ones(64, K, dtype=torch.bool))
    prefix = torch.zeros(N, H, D)
    s = policy.encoder(observation())
    b = policy.basis(s)
    prefix[:, :4] = torch.randn(N, 4, K) @ b.mT  # within the span, small enough for the clip
    prefix[:, :4] *= 0.05
    committed = (torch.arange(H) < 4).expand(N, H)
    with_prefix, free = act(policy, Selection(rule="all"), prefix=prefix, committed=committed), act(policy)
    assert torch.equal(with_prefix.action[:, :4], prefix[:, :4])
    decoded = policy.decode(with_prefix.z, with_prefix.gate, b)
    torch.testing.assert_close(decoded[:, :4], prefix[:, :4], rtol=0, atol=1e-5)  # not only copied: Z itself says so
    assert (with_prefix.action[:, 4:] - act(policy, Selection(rule="all")).action[:, 4:]).abs().max() > 1e-4
    nothing = act(policy, prefix=prefix, committed=torch.zeros(N, H, dtype=torch.bool))
    torch.testing.assert_close(nothing.action, free.action)


def test_noise_of_another_shape_and_half_a_prefix_are_refused():
    policy = made().eval()
    with pytest.raises(ValueError, match=r"noise: expected \(5, 16, 8\), got \(4, 16, 8\)"):
        policy.act(observation(), noise(4))
    with pytest.raises(ValueError, match="give both or neither"):
        act(policy, prefix=torch.zeros(N, H, D))


def test_a_step_under_bfloat16_autocast_is_close_to_that_in_float32():
    policy = made().eval()  # eval: the same coefficient statistics both times
    exact = policy.loss(segments(), 1.0, torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = policy.loss(segments(), 1.0, torch.Generator().manual_seed(0))
    rough.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.grad is not None)
    for term, apart in (("recon", 1e-3), ("gate", 1e-2), ("align", 1e-2), ("coeff", 1e-2)):
        torch.testing.assert_close(getattr(rough, term), getattr(exact, term), rtol=apart, atol=0)


def test_experts_that_answer_with_u_are_not_scaled_by_the_gate():
    """Ablation A6: the gate says who acts, and no more."""
    config = replace(tiny(), diffusion=replace(tiny().diffusion, predicts="u"))
    policy = SkillMoEPolicy(config)
    gate, b = torch.softmax(torch.randn(2, 8), -1), policy.basis(torch.randn(2, 32))
    action = torch.randn(2, 16, 14)
    u = action @ b
    assert torch.equal(policy.target(u, gate), u)
    torch.testing.assert_close(policy.decode(u, gate, b), u @ b.mT)
    with pytest.raises(ValueError, match="router-only: experts of this model answer with u"):
        RouterOnly(policy)
