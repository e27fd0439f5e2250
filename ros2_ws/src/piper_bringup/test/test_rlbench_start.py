"""RLBench's worker as it starts and ends, what it starts without, and the Python that it needs."""

import ast
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from rlbench_rig import PATIENCE_S, go, lay, simulated, start

from piper_bringup.rlbench import checkout
from piper_bringup.rlbench.link import WORKER, link
from piper_bringup.robotwin import protocol
from piper_bringup.robotwin.lost import WorkerDied, WorkerRaised


@pytest.fixture
def place(tmp_path):
    with simulated(tmp_path / "checkout") as fake:
        yield fake


def test_pictures_are_as_large_as_asked_for(place):
    with place.link("--image-px", "64") as link:
        assert link.start(PATIENCE_S)["image_px"] == 64
        picture = start(link, cameras=["overhead"])["observation"]["cameras"]["overhead"]
        assert picture["rgb"].shape == (64, 64, 3) and picture["intrinsic"][0, 2] == 32


def test_the_simulator_is_ended_politely(place):
    left = place.root / "shutdown"
    with place.link() as link:
        link.start(PATIENCE_S)
        start(link)
        assert not left.exists()
    assert left.exists()


def test_without_coppeliasim_the_reason_is_data(place, monkeypatch):
    monkeypatch.delenv(checkout.SIMULATOR)
    with place.link() as link:
        assert link.start(PATIENCE_S)["coppeliasim"] is None
        with pytest.raises(WorkerRaised, match="COPPELIASIM_ROOT not defined") as caught:
            start(link)
        assert (caught.value.phase, caught.value.type) == ("launch", "PyRepError")


def test_without_pyrep_the_reason_is_data(place, tmp_path):
    shutil.copytree(place.root, tmp_path / "bare", ignore=shutil.ignore_patterns("pyrep"))
    with link(sys.executable, tmp_path / "bare") as bare:
        bare.start(PATIENCE_S)
        with pytest.raises(WorkerRaised, match="No module named 'pyrep'") as caught:
            start(bare)
    assert caught.value.phase == "import"


@pytest.mark.parametrize("lacks", [checkout.SCENE, Path("rlbench") / "bimanual_tasks"])
def test_another_folder_and_rlbench_for_one_arm_are_refused(tmp_path, lacks):
    root = lay(tmp_path / "wrong").root
    shutil.move(root / lacks, tmp_path / "away")
    with link(sys.executable, root) as worker, pytest.raises(WorkerRaised, match=f"it has no {lacks}"):
        worker.start(PATIENCE_S)


def test_a_size_of_pictures_that_makes_no_sense_ends_the_worker_with_a_sentence(tmp_path):
    with pytest.raises(WorkerDied, match="--image-px is 0; valid: 16 to 1024"):
        link(sys.executable, tmp_path, "--image-px", "0").start(PATIENCE_S)


@pytest.mark.parametrize("path", sorted(WORKER.parent.glob("*.py")), ids=lambda path: path.stem)
def test_the_workers_side_is_python_3_8_and_needs_two_packages(path):
    if path.stem == "link":
        return
    seen, new = set(), {path}
    while new:
        seen |= new
        new = {found for one in new for found in ours_of(one)} - seen
    assert path.parent / "link.py" not in seen and Path(protocol.__file__).with_name("link.py") not in seen
    for one in seen:
        tops = {name.split(".")[0] for name in imported(one)}
        assert tops - {"piper_bringup"} <= set(sys.stdlib_module_names) | {"numpy", "msgpack"}, one


def imported(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def ours_of(path):
    below = WORKER.parents[2]
    files = {below / (name.replace(".", "/") + ".py") for name in imported(path) if name.startswith("piper_bringup.")}
    return {file for file in files if file.is_file()}


def test_the_worker_runs_on_python_3_8(place):
    """Where SMP_PYTHON_3_8 names one that has numpy and msgpack."""
    python = os.environ.get("SMP_PYTHON_3_8") or pytest.skip("SMP_PYTHON_3_8 names no Python")
    with link(python, place.root) as old:
        assert old.start(PATIENCE_S)["python"].startswith("3.8.")
        measured = start(old, 0, expert_check=True, cameras=["front"])["observation"]["measured"]
        assert go(old, measured, 1, cameras=["front"])["observation"]["action_count"] == 1
        with pytest.raises(WorkerRaised, match="16 finite"):
            old.call("step", PATIENCE_S, action=np.zeros(3))
