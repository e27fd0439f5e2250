"""Parameters of the policy node: the file agrees with the code, and S12 cannot be widened."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fake_policy import TASKS, contract

from piper_bringup.data.observation import Limits
from smp_policy.episodes_node import DEFAULTS
from smp_policy.run.settings import Settings
from smp_policy.run.table import TOPIC_DRY, startup_table

CONFIG = Path(__file__).parents[1] / "config"


@pytest.mark.parametrize(
    ("file", "node", "defaults"),
    [("policy.yaml", "smp_policy", Settings.defaults()), ("episodes.yaml", "episodes", DEFAULTS)],
)
def test_the_file_repeats_the_defaults(file, node, defaults):
    told = yaml.safe_load((CONFIG / file).read_text())[node]["ros__parameters"]
    assert told == {name: value for name, value in defaults.items() if name != "model"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": ""}, "model is empty"),
        ({"observation__joints_s": 0.06}, "observation.joints_s is 0.06, valid: 0.01 to 0.05"),
        ({"observation__camera_s": 0.3}, "valid: 0.01 to 0.15"),
        ({"timeouts__chunk_age_s": 0.6}, "valid: 0.05 to 0.5"),
        ({"rate_hz": float("nan")}, "rate_hz is nan"),
        ({"world": "moon"}, "valid: robot, simulation"),
    ],
)
def test_what_is_out_of_range_is_named(changes, told):
    with pytest.raises(ValueError, match=told):
        Settings(**{"model": "m"} | changes)


def test_defaults_are_S12_and_the_training_stride():
    settings = Settings(model="m")
    assert settings.limits == Limits() and settings.period_ns == 200_000_000


def test_the_table_tells_topics_model_contract_and_limits():
    settings = Settings(model="models/m", dry_run=True, world="simulation")
    text = startup_table(contract(cameras=3, slots=4), settings, 12_300_000)
    camera = "/cam_head/image_raw, or compressed"
    for told in ("models/m", *TASKS, camera, "/cell/objects", TOPIC_DRY, "12.3 ms", "150 ms"):
        assert told in text, told
