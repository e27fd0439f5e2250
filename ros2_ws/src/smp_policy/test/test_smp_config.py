"""Presets have the size they claim; configurations that cannot be are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from smp_policy.smp.config import PRESETS, BasisConfig, EncoderConfig, Selection, SMPConfig
from smp_policy.smp.policy import SkillMoEPolicy

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"experts": 15}, "experts = 15 must lie between 1 and the action dimension 14"),
        ({"action": 15}, "14 rows, action = 15: they must agree"),
        ({"basis": BasisConfig(rank=0)}, "basis.rank = 0 must lie between 1 and the action dimension 14"),
        (
            {"basis": BasisConfig(rank=2)},
            "8 experts of basis.rank 2 need 16 directions, the action dimension is 14; "
            "valid: up to 7 experts of this rank, or up to rank 1",
        ),
        (
            {"experts": 100, "basis": BasisConfig(rank=3, spans="chunk")},
            "need 300 directions, the length of a chunk is 224; valid: up to 74 experts of this rank, or up to rank 2",
        ),
        ({"encoder": EncoderConfig(text=5)}, "exactly one of encoder.tasks, encoder.text"),
    ],
)
def test_configurations_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        replace(SMPConfig(), **change)


@pytest.mark.parametrize(
    ("change", "says"), [({"tau": 1.5}, r"tau = 1.5 must lie in \[0, 1\]"), ({"k": 0}, "at least 1")]
)
def test_selections_that_cannot_be_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Selection(**change)


# Millions of parameters: total, and one expert of eight (paper's Table 6: 258.9 and 28.9).
SIZES = {"tiny": (0.156, 0.0174), "state": (6.43, 0.640), "image": (6.93, 0.640), "paper": (258.2, 28.9)}


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_the_size_they_claim(preset):
    with torch.device("meta"):
        policy = SkillMoEPolicy(PRESETS[preset]())
    total, expert = (sum(p.numel() for p in m.parameters()) / 1e6 for m in (policy, policy.experts))
    assert (total, expert / 8) == pytest.approx(SIZES[preset], rel=0.02)


def test_the_papers_parts_have_the_papers_sizes():
    with torch.device("meta"):
        policy = SkillMoEPolicy(PRESETS["paper"]())
    parts = [(policy.encoder,), (policy.basis,), (policy.posterior, policy.router, policy.usage)]
    sizes = [sum(p.numel() for m in part for p in m.parameters()) / 1e6 for part in parts]
    assert sizes == pytest.approx([11.2, 12.5, 3.6], rel=0.03)
