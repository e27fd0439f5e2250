"""Episodes of a made-up policy in the real cell, through the real driver: placed, run, judged, parked, counted."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import rclpy
from fake_policy import write_model
from policy_node_rig import PROGRAM, environment
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from robotwin_rig import lay
from std_srvs.srv import Trigger

from piper_bringup.arm.safety import Mode
from piper_bringup.data import names
from piper_bringup.run_node import Starter
from piper_bringup.spin_node import Done
from smp_msgs.msg import ArmStatus, EpisodeEvent
from smp_policy.episodes_node import EpisodesNode, tasks_of

pytestmark = pytest.mark.live

PATIENCE_S = 60.0
TASKS = ("lift_bar", "lift_tray")


def start(*words: str, **parameters: object) -> subprocess.Popen:
    """A node in a process of its own."""
    given = [w for name, value in parameters.items() for w in ("-p", f"{name}:={value}")]
    command = [sys.executable, *words, "--ros-args", *given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())


@contextmanager
def stack(
    model: Path, cell: str = "piper_bringup.cell.cell_node", **parameters: object
) -> Iterator[dict[str, subprocess.Popen]]:
    """Cell without cameras, or whoever stands in for it, driver, policy; up."""
    channels = {f"arms.{arm}.can_channel": f"episodes{os.getpid()}_{arm}" for arm in names.ARMS}
    alive = {"cell": start("-m", cell, **channels, **(parameters or {"cameras": False}))}
    driver = {"can_backend": "smp_vcan", "speed_percent": 100.0, "can_rate.warn_fps": 100, "can_rate.fault_fps": 50}
    try:
        alive["driver"] = start("-m", "piper_bringup.arm.driver_node", **channels, **driver)
        alive["policy"] = start("-c", PROGRAM, model=model, world="simulation")
        end = time.monotonic() + PATIENCE_S
        with Starter() as starter:
            for name in (names.DRIVER_NODE, "smp_policy"):
                assert starter.bring_up(name, lambda: time.monotonic() > end) is None
        yield alive
    finally:
        for process in reversed(alive.values()):
            process.send_signal(signal.SIGINT)
        for process in alive.values():
            try:
                process.communicate(timeout=10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def test_nobody_is_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(EpisodesNode, "get_logger", lambda self: logging.getLogger("episodes"))
    node = EpisodesNode.__new__(EpisodesNode)  # no ROS: only what is waited with
    node._gave_up, node._answer, node._since_ns = False, SimpleNamespace(done=lambda: False), time.monotonic_ns()
    assert not node._answered("the cell", 5.0)
    node._since_ns -= 6_000_000_000
    with pytest.raises(Done):
        node._answered("the cell", 5.0)
    assert node._gave_up


def test_a_bag_is_ended_before_things_are_taken_out_of_the_hands():
    said: list[str] = []
    done = SimpleNamespace(done=lambda: True)
    node = EpisodesNode.__new__(EpisodesNode)  # no ROS: only the order of things
    node._gave_up, node._answer, node._since_ns = False, done, time.monotonic_ns()
    node._take_away = SimpleNamespace(call_async=lambda _: said.append("take away") or done)
    node._park = SimpleNamespace(call_async=lambda _: said.append("park") or done)
    node._bags = SimpleNamespace(ended=lambda _: said.append("bag") or True)
    node._wait_for_bag()
    assert said == ["bag", "take away"] and node._phase == node._wait_for_empty_hands
    node._phase()
    assert said == ["bag", "take away", "park"] and not node._gave_up


def test_all_tasks_are_those_of_the_model(tmp_path):
    model = write_model(tmp_path / "model", tasks=TASKS)
    assert tasks_of({"tasks": ["all"], "model": str(model)}) == list(TASKS)
    assert tasks_of({"tasks": ["lift_pot"], "model": str(model)}) == ["lift_pot"]
    with pytest.raises(ValueError, match="name tasks, or the folder of a model"):
        tasks_of({"tasks": ["all"], "model": ""})
    with pytest.raises(ValueError, match="nowhere is no model"):
        tasks_of({"tasks": ["all"], "model": str(tmp_path / "nowhere")})


def test_episodes_are_placed_run_parked_and_counted(tmp_path):
    with stack(write_model(tmp_path / "model", tasks=TASKS)) as alive:
        episodes = start("-m", "smp_policy.episodes_node", tasks=list(TASKS), limit_s=2.0, seed=3)
        said, _ = episodes.communicate(timeout=PATIENCE_S)
        assert episodes.returncode == 0, said  # run to the end, successful or not
        for task in TASKS:
            assert f"{task}, seed 3: failure (time_over) after 2.0 s" in said, said
        assert "all        0 of 2" in said and " 0 chunks" not in said  # parked arms were followed again
        alive["policy"].kill()
        again = start("-m", "smp_policy.episodes_node", tasks=["lift_bar"], wait_s=2.0)
        said, _ = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 1 and "policy not there" in said and "Traceback" not in said


def test_robotwin_in_real_time_stands_in_for_the_cell(tmp_path):
    task = "stack_blocks_two"  # of the fake: not solved with closed grippers
    place = {"root": lay(tmp_path / "checkout", "main").root, "python": sys.executable, "out": tmp_path / "out"}
    model = write_model(tmp_path / "model", tasks=(task, "other"))
    with stack(model, "piper_bringup.robotwin.realtime_node", **place, **{"realtime.min_factor": 0.5}):
        wanted = {
            "tasks": [task],
            "limit_s": 2.0,
            "seed": 100003,
            "episodes": 2,
            "reset_s": 0.0,
            "label": "so to say",
        }
        episodes = start("-m", "smp_policy.episodes_node", **wanted)
        said, _ = episodes.communicate(timeout=PATIENCE_S)
        assert (
            episodes.returncode == 0 and f"successes (so to say)\n  {task}  0 of 2" in said and " 0 chunks" not in said
        ), said
        assert f"{task}, seed 100007: " in said and f"{task}, seed 100008: " in said, said
    (path,) = (tmp_path / "out").iterdir()
    file = json.loads(path.read_text())
    assert [episode["seed"] for episode in file["episodes"]] == [100007, 100008]  # 3 to 6 will not do
    for episode in file["episodes"]:
        slow = episode["real_time_factor"] < 0.5
        assert episode["reason"] == ("too_slow" if slow else "time_over") and not episode["success"], episode
    assert file["mode"] == "realtime" and file["protocol"].startswith("NOT RoboTwin's protocol")


def test_robotwin_in_real_time_tells_a_policy_that_is_too_slow_from_a_person_who_ends_it(tmp_path):
    task = "stack_blocks_two"
    place = {"root": lay(tmp_path / "checkout", "main").root, "python": sys.executable, "out": tmp_path / "out"}
    model = write_model(tmp_path / "model", tasks=(task, "other"))
    wanted = {"tasks": [task], "seed": 100000, "reset_s": 0.0}
    with stack(model, "piper_bringup.robotwin.realtime_node", **place, **{"realtime.min_factor": 0.5}) as alive:
        (model / "slow").touch()
        said, _ = start("-m", "smp_policy.episodes_node", **wanted, limit_s=5.0).communicate(timeout=PATIENCE_S)
        assert "(time_over)" in said and " 0 chunks" in said, said
        (model / "slow").unlink()
        with meddler() as (node, until):
            kinds: list[int] = []
            node.create_subscription(EpisodeEvent, names.TOPIC_EPISODE_EVENT, lambda e: kinds.append(e.kind), 10)
            alive["episodes"] = start("-m", "smp_policy.episodes_node", **wanted, limit_s=0.0)
            until(lambda: EpisodeEvent.STARTED in kinds)
        for name in ("episodes", "policy"):  # as the whole is ended by Ctrl-C: who was started last comes first
            alive[name].send_signal(signal.SIGINT)
            alive[name].wait(timeout=PATIENCE_S)
    (path,) = (tmp_path / "out").iterdir()
    slow, ended = json.loads(path.read_text())["episodes"]
    late = slow["real_time_factor"] < 0.5  # this machine
    assert (slow["reason"], slow["valid"]) == (("too_slow", False) if late else ("time_over", True)), slow
    assert (ended["reason"], ended["valid"]) == ("stopped", False), ended


def test_a_parking_that_was_stopped_is_begun_again(tmp_path):
    """As a moment without feedback does it: both arms hold, and there is no fault to clear."""
    with stack(write_model(tmp_path / "model", tasks=TASKS)):
        episodes = start("-m", "smp_policy.episodes_node", tasks=["lift_bar"], limit_s=2.0, seed=3)
        hold_when_parking()
        said, _ = episodes.communicate(timeout=PATIENCE_S)
        assert episodes.returncode == 0 and "lift_bar  0 of 1" in said, said


@contextmanager
def meddler() -> Iterator[tuple[Node, Callable[[Callable[[], bool]], None]]]:
    """A node, and what waits until something is true of what it hears."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node, executor = Node("meddler", context=context), SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def until(done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end_s, "nothing came in time"
            executor.spin_once(timeout_sec=0.05)

    try:
        yield node, until
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def hold_when_parking() -> None:
    """Ask the driver to hold, once, as soon as it parks."""
    with meddler() as (node, until):
        modes: list[int] = []
        topic = names.arm_status_topic("left")
        node.create_subscription(ArmStatus, topic, lambda status: modes.append(status.mode), 10)
        hold = node.create_client(Trigger, f"/{names.DRIVER_NODE}/hold")
        until(lambda: hold.service_is_ready() and Mode.PARK in modes)
        asked = hold.call_async(Trigger.Request())
        until(asked.done)
        assert asked.result().success, asked.result().message
