"""models: which one is shipped, and what becomes of one that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from piper_bringup import models
from piper_bringup.options import OptionError, Options
from piper_bringup.system import graph

SIMULATED = Options(backend="mujoco")
CONFIG = Path(__file__).parents[1] / "config"


def shipped(root: Path, *names: str, choice: str = "") -> Path:
    """A repository with these model folders; a folder deep inside it."""
    for name in names:
        (root / "models" / name).mkdir(parents=True)
    if choice:
        (root / "models").mkdir(exist_ok=True)
        (root / "models" / "default").write_text(choice + "\n")
    below = root / "ros2_ws" / "install" / "share"
    below.mkdir(parents=True)
    return below


def test_the_usual_model_is_found_from_inside_the_repository(tmp_path):
    options, told = models.chosen(SIMULATED, shipped(tmp_path, "state", "image"))
    assert options.model == str(tmp_path / "models" / "state") and "models/state" in told


def test_a_file_names_another_one(tmp_path):
    options, _ = models.chosen(SIMULATED, shipped(tmp_path, "state", "image", choice="image"))
    assert options.model == str(tmp_path / "models" / "image")


def test_a_name_of_nothing_is_refused_with_what_is_there(tmp_path):
    with pytest.raises(OptionError, match=r"names model 'imag', which is not there; valid: image, state"):
        models.chosen(SIMULATED, shipped(tmp_path, "state", "image", choice="imag"))


def test_without_a_model_the_script_is_announced(tmp_path):
    assert models.chosen(SIMULATED, shipped(tmp_path)) == (SIMULATED, models.NO_MODEL)


@pytest.mark.parametrize(
    "options",
    [
        Options(),  # a robot: a model has to be named
        Options(backend="mujoco", model="mine"),
        Options(backend="mujoco", model="script"),
        Options(backend="mujoco", commander=False),
        Options(backend="mujoco", teleop=True),
    ],
)
def test_nobody_else_gets_the_shipped_model(tmp_path, options):
    assert models.chosen(options, shipped(tmp_path, "state")) == (options, "")


def admit(options: Options) -> str:
    return models.admit(graph(options, CONFIG), options)


def test_who_has_no_model_is_not_asked():
    assert admit(SIMULATED) == ""


def test_a_refusal_is_one_sentence(tmp_path):
    with pytest.raises(OptionError, match=r"is no model: contract.json is missing$") as refusal:
        admit(Options(backend="mujoco", model=str(tmp_path)))
    assert "\n" not in str(refusal.value) and str(tmp_path) in str(refusal.value)


def test_what_cannot_even_answer_is_told(monkeypatch):
    monkeypatch.setattr(models, "ADMISSION", "smp_policy.nowhere")
    with pytest.raises(OptionError, match=r"No module named smp_policy\.nowhere"):
        admit(Options(backend="mujoco", model="m"))
