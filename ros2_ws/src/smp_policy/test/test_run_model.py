"""The whole graph with a model: cell, emulated arms, driver and policy do episodes, and the end table says how."""

from __future__ import annotations

import signal

import pytest
from evaluate_rig import untrained
from test_run import Stack, idle_machine

pytestmark = pytest.mark.live

__all__ = ["idle_machine"]
OPTIONS = ("--inference", "torch", "--task", "lift_bar")


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("idle_machine")
def test_an_untrained_model_moves_the_arms_until_ctrl_c(tmp_path):
    model = untrained(tmp_path / "model")
    with Stack(tmp_path, "--model", str(model), *OPTIONS, "--hold") as stack:
        stack.wait_for("POLICY_RUNNING: first chunk")
        stack.wait_for("CHUNK_FOLLOWED")
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 0
    assert "simulation only" in stack.text and "the arms stay where they are" in stack.text
    assert "driver ended; arms keep their last target" in stack.text
    summary = stack.summary()
    assert summary["policy"]["chunks"] > 0 and summary["policy"]["latency_ms"]["p50"] > 0.0
    assert summary["topics"]["/smp/action_chunk"]["count"] > 0
    assert "policy: observation to chunk" in stack.text
    assert [episode["task"] for episode in summary["episodes"]] == ["lift_bar"]


def test_a_model_of_the_simulation_does_not_get_to_a_robot(tmp_path):
    model = untrained(tmp_path / "model")
    with Stack(tmp_path, "--model", str(model), "--inference", "torch", "--backend", "real") as stack:
        assert stack.end() == 1
    assert "which a robot does not have" in stack.text and len(stack.lines) == 1
