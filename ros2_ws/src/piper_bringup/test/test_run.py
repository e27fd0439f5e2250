"""run.py with real nodes: an episode from start to end, deaths named, nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from robotwin_rig import lay
from stack_rig import Stack, wait_until

pytestmark = pytest.mark.live

pytest.importorskip("smp_msgs", reason="needs the built workspace: setup/bootstrap, then source install/setup.bash")


def cpu_times() -> list[int]:
    """Ticks of all cores since boot: user, nice, system, idle, ..."""
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


@pytest.fixture
def idle_machine():
    """Arms in real time cannot share two cores with somebody else's work: their rules stop them, as they should."""
    before = cpu_times()
    time.sleep(1.0)
    passed = [late - early for early, late in zip(before, cpu_times(), strict=True)]
    idle = passed[3] / max(1, sum(passed))  # of the second just passed: a load average still counts our own tests
    if idle < 0.6:
        pytest.skip(f"the machine is busy with something else: {idle:.0%} of it is idle")


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("idle_machine")
def test_one_simulated_episode_from_start_to_end(tmp_path):
    with Stack(tmp_path, "--model", "script", "--seed", "3") as stack:
        assert stack.end(100.0) == 0, stack.text
    summary = stack.summary()
    assert [(e["task"], e["seed"], e["outcome"]) for e in summary["episodes"]] == [("lift_bar", 3, "succeeded")]
    assert summary["lateness_ms"]["max"] > 0 and max(summary["tracking_error_rad"].values()) < 0.35
    assert {"/joint_states", "/smp/action_chunk", "/left/joint_command", "/right/arm_status"} <= set(summary["topics"])
    for told in ("Topics", "real-time factor", "command lateness", "clamped", "tracking error", "succeeded"):
        assert told in stack.text
    if "/cam_head/image_raw" in summary["topics"]:  # a machine without OpenGL has no pictures
        assert (stack.out / "head.mp4").stat().st_size > 10_000
        assert (stack.out / "report.html").read_text().count("image/jpeg") > 2
    assert "1 of 1 succeeded" in (stack.out / "report.html").read_text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("node", ["piper_driver", "cell", "commander"])
def test_a_killed_process_is_named_and_ends_the_run(tmp_path, node):
    with Stack(tmp_path, "--model", "script") as stack:
        stack.wait_for("[monitor]: /joint_states")  # the monitor hears everybody
        os.kill(stack.pid(node), signal.SIGKILL)
        assert stack.end() == 1
    assert f"process {node} was killed by signal 9" in stack.text
    summary = stack.summary()
    told = {(event["reason"], word) for event in summary["safety_events"] for word in event["text"].split()}
    assert ("PROCESS_DIED", node) in told
    if node == "piper_driver":
        assert ("TOPIC_SILENT", "piper_driver") in told
    if node == "cell" and "/cam_head/image_raw" in summary["topics"]:  # no OpenGL, no pictures
        assert ("TOPIC_SILENT", "cell") in told


def light(folder: Path, *, terminal: bool = False) -> Stack:
    """A driver whose bus is not there, and a monitor."""
    return Stack(folder, "--backend", "real", "--can-backend", "smp_vcan", terminal=terminal)


def test_an_interrupted_run_has_its_page_and_says_where(tmp_path):
    with light(tmp_path) as stack:
        stack.wait_for("BUS_MISSING")
        stack.wait_for("left DISCONNECTED")
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 0
    assert str(stack.out / "report.html") in stack.lines[-1]
    page = (stack.out / "report.html").read_text()
    assert "BUS_MISSING" in page and "left DISCONNECTED" in page
    assert "\x1b[K" not in stack.text  # what is no terminal is not written anew
    assert sum("left DISCONNECTED" in line for line in stack.lines) <= 1 + stack.summary()["duration_s"] / 5.0


def test_a_terminal_has_a_line_that_is_written_anew(tmp_path):
    with light(tmp_path, terminal=True) as stack:
        stack.wait_for("\x1b[Kleft DISCONNECTED, right DISCONNECTED; rejected 0, clamped 0; BUS_MISSING 2")
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 0
    assert "\x1b[K" not in (stack.out / "run.log").read_text()


def test_viz_without_rerun_is_refused_before_anything_starts(tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "rerun.py").write_text("raise ModuleNotFoundError(\"No module named 'rerun'\")\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'none'}:{os.environ.get('PYTHONPATH', '')}")
    with Stack(tmp_path, "--model", "script", "--viz") as stack:
        assert stack.end() == 1
    assert "pip install rerun-sdk==" in stack.text and len(stack.lines) == 1 and not stack.out.exists()


def test_an_impatient_ctrl_c_leaves_nothing_behind(tmp_path):
    with light(tmp_path) as stack:
        stack.wait_for("BUS_MISSING")
        stack.run.send_signal(signal.SIGINT)
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 0


def test_a_killed_run_takes_its_nodes_with_it(tmp_path):
    with light(tmp_path) as stack:
        stack.wait_for("BUS_MISSING")
        stack.run.kill()
        stack.run.wait()
        wait_until(lambda: stack.alive() == {})


def test_a_dead_monitor_is_named_and_the_arms_go_on(tmp_path):
    with light(tmp_path) as stack:
        stack.wait_for("BUS_MISSING")
        os.kill(stack.pid("monitor"), signal.SIGKILL)
        stack.wait_for("process monitor was killed by signal 9")
        assert stack.run.poll() is None and stack.pid("piper_driver")
        stack.run.send_signal(signal.SIGINT)
        assert stack.end() == 1
    assert "did not live to write it" in stack.text


def test_a_model_that_is_none_is_refused_before_anything_starts(tmp_path):
    with Stack(tmp_path, "--model", str(tmp_path / "none")) as stack:
        assert stack.end() == 1
    assert "none is no model: contract.json is missing" in stack.text and len(stack.lines) == 1


@pytest.mark.parametrize(
    ("root", "python", "says"),
    [
        ("", "python", "needs robotwin_root"),
        ("/tmp", "python", "/tmp is no RoboTwin checkout: it has no envs/_base_task.py"),
        ("fake", "/nowhere/python", "robotwin_python is /nowhere/python: No such file"),
        ("fake", "false", "robotwin_python is false: exit code 1"),
    ],
)
def test_a_robotwin_that_cannot_be_run_is_refused_before_anything_starts(tmp_path, root, python, says):
    root = str(lay(tmp_path / "checkout", "main").root) if root == "fake" else root
    with Stack(tmp_path, "--backend", "robotwin", "--robotwin-root", root, "--robotwin-python", python) as stack:
        assert stack.end() == 1
    assert says in stack.text and len(stack.lines) == 1


def test_robotwin_without_a_model_is_its_bridge_and_ends_with_ctrl_c(tmp_path):
    root = lay(tmp_path / "checkout", "main").root
    with Stack(
        tmp_path, "--backend", "robotwin", "--robotwin-root", str(root), "--robotwin-python", sys.executable
    ) as s:
        s.wait_for("expert_check true")
        s.run.send_signal(signal.SIGINT)
        assert s.end() == 0
    assert f"RoboTwin main in {root}, 3 tasks" in s.text and "Traceback" not in s.text
