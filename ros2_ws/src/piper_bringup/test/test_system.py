"""system, options, arguments: one graph for launch and run.py, and refusals that say what is valid."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from piper_bringup import arguments, robot_cameras
from piper_bringup.options import OptionError, Options
from piper_bringup.process import death
from piper_bringup.robotwin.record import LABEL
from piper_bringup.system import graph

CONFIG = Path(__file__).parents[1] / "config"
SOURCES = Path(__file__).parents[2]
ROBOTWIN = {"backend": "robotwin", "robotwin_root": "r"}
EVERYTHING = [
    process
    for options in (
        Options(backend="mujoco"),
        Options(backend="mujoco", model="m"),
        Options(teleop=True, record="b"),
        Options(viz=True),
        Options(**ROBOTWIN, model="m", task="t"),
    )
    for process in (*graph(options, CONFIG), *robot_cameras.processes(Options(cameras="usb"), (), {}, lambda _: False))
]
XML = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"


def by_name(options: Options) -> dict:
    return {process.name: process for process in graph(options, CONFIG)}


def test_mujoco_is_cell_driver_monitor_and_commander_in_that_order():
    assert list(by_name(Options(backend="mujoco"))) == ["cell", "piper_driver", "monitor", "commander"]


def test_leader_arms_command_instead_of_the_script():
    assert list(by_name(Options(backend="real", teleop=True))) == ["piper_driver", "monitor", "teleop"]
    simulated = by_name(Options(backend="mujoco", teleop=True))
    assert "commander" not in simulated  # one commander (S27)
    assert simulated["piper_driver"].parameters["plan.blend_s"] == 0.05
    assert "plan.blend_s" not in by_name(Options(backend="mujoco"))["piper_driver"].parameters
    with pytest.raises(OptionError, match="each of the four needs its own bus"):
        graph(Options(teleop=True, left_leader_can="can_left"), CONFIG)
    assert simulated["teleop"].parameters["can_backend"] == "smp_vcan"


def test_a_recorder_is_there_when_asked_for_and_simulated_episodes_use_it():
    found = by_name(Options(backend="mujoco", record="bags"))
    assert found["recorder"].parameters["out"] == "bags"
    assert found["recorder"].parameters["tail_s"] > 0  # ends by itself once the episode is judged
    assert found["commander"].parameters["record"] is True
    assert found["commander"].parameters["push_rad"] == 0.05  # what is kept to learn from shows the way back
    real = by_name(Options(backend="real", record="bags"))["recorder"]
    assert "tail_s" not in real.parameters  # a person ends it
    shown = by_name(Options(backend="mujoco"))["commander"].parameters
    assert shown["record"] is False and shown["push_rad"] == 0.0


def test_who_only_looks_keeps_nobody_waiting_and_is_there_before_anything_moves():
    found = by_name(Options(backend="mujoco", model="m", viz=True, out="o"))
    assert list(found) == ["cell", "piper_driver", "monitor", "viz", "smp_policy", "episodes"]
    viz = found["viz"]
    assert viz.parameters == {"out": "o"} and not viz.required
    assert viz.nice > max(process.nice for process in found.values() if process is not viz)
    assert found["monitor"].parameters == {"out": "o", "model": "m"}
    assert found["monitor"].patience_s > by_name(Options())["monitor"].patience_s  # it draws the page


def test_without_a_commander_nobody_publishes_chunks():
    assert "commander" not in by_name(Options(backend="mujoco", commander=False))


def test_a_model_commands_instead_of_the_script_and_episodes_are_begun_in_simulation():
    found = by_name(Options(backend="mujoco", model="m", task="lift_bar, lift_tray", seed=4, episodes=2, record="bags"))
    assert list(found) == ["cell", "piper_driver", "monitor", "recorder", "smp_policy", "episodes"]
    policy, episodes = found["smp_policy"], found["episodes"]
    assert policy.lifecycle and policy.required and policy.nice == 10
    assert policy.parameters == {
        "model": str(Path("m").absolute()),
        "task": "",
        "backend": "onnx",
        "device": "auto",
        "dry_run": False,
        "world": "simulation",
        "allow_sim_model": True,
    }
    assert episodes.finite and not episodes.required and "task" not in episodes.parameters
    wanted = {"tasks": ["lift_bar", "lift_tray"], "seed": 4, "episodes": 2, "record": True}
    assert wanted.items() <= episodes.parameters.items()
    assert found["cell"].parameters["task"] == "lift_bar"
    assert "tasks" not in by_name(Options(backend="mujoco", model="m"))["episodes"].parameters  # all of the model's


def test_robotwin_is_its_bridge_and_who_is_evaluated_there():
    assert list(by_name(Options(**ROBOTWIN))) == ["robotwin_bridge"]
    found = by_name(Options(**ROBOTWIN, model="m", task="a, b", seed=1, episodes=100, out="o"))
    assert list(found) == ["robotwin_bridge", "smp_policy", "evaluation"]
    bridge, policy, evaluation = found.values()
    assert bridge.parameters == {"root": str(Path("r").absolute()), "python": "python", "out": "o"} and bridge.required
    assert policy.parameters["use_sim_time"] is True and policy.parameters["driver.commit_s"] == 0.0
    assert policy.parameters["world"] == "simulation" and policy.lifecycle
    assert policy.remaps == {"/joint_states": "/robotwin/joint_targets"}
    assert evaluation.parameters == {"tasks": ["a", "b"], "episodes": 100, "seed": 1, "policy": "m"}
    assert evaluation.finite and not evaluation.required
    assert "use_sim_time" not in by_name(Options(backend="mujoco", model="m"))["smp_policy"].parameters
    waits = by_name(Options(**ROBOTWIN, model="m", commander=False))
    assert list(waits) == ["robotwin_bridge", "smp_policy"]


def test_robotwin_in_real_time_is_the_graph_of_the_cell_with_its_bridge_in_the_cells_place():
    given = {**ROBOTWIN, "mode": "realtime", "out": "o"}
    found = by_name(Options(**given, model="m", task="a, b", seed=1, record="bags", left_can="l", right_can="r"))
    cell = by_name(
        Options(backend="mujoco", model="m", task="a, b", seed=1, record="bags", left_can="l", right_can="r")
    )
    assert list(found) == ["robotwin_bridge", *list(cell)[1:]] and "recorder" in found
    bridge = found["robotwin_bridge"]
    place = {"root": str(Path("r").absolute()), "python": "python", "out": "o"}
    channels = {"arms.left.can_channel": "l", "arms.right.can_channel": "r"}
    assert bridge.parameters == place | channels | {"realtime.policy": "m"} and bridge.required
    assert bridge.executable == "robotwin_realtime_node"
    for name in ("piper_driver", "smp_policy", "recorder"):  # none of them knows
        assert found[name] == cell[name]
    said = {"camera_node": "robotwin_bridge", "model": f"m, {LABEL}", "out": "o"}
    assert found["monitor"].parameters == said
    changed = {"seed": 200000, "reset_s": 0.0, "limit_s": 60.0}
    episodes = dict(found["episodes"].parameters)
    assert LABEL in episodes.pop("label") and episodes == cell["episodes"].parameters | changed
    assert list(by_name(Options(**given))) == ["robotwin_bridge", "piper_driver", "monitor"]
    assert "teleop" in by_name(Options(**given, teleop=True))


def test_on_a_robot_nothing_begins_by_itself():
    found = by_name(Options(model="m", dry_run=True, inference="torch", device="cuda"))
    assert list(found) == ["piper_driver", "monitor", "smp_policy"]
    said = found["smp_policy"].parameters
    assert (said["world"], said["allow_sim_model"], said["task"]) == ("robot", False, "")
    assert (said["dry_run"], said["backend"], said["device"]) == (True, "torch", "cuda")
    assert found["smp_policy"].nice == 0
    asked = by_name(Options(model="m", task="lift_bar", allow_sim_model=True))["smp_policy"].parameters
    assert asked["task"] == "lift_bar" and asked["allow_sim_model"] is True
    waits = by_name(Options(backend="mujoco", model="m", commander=False))
    assert "smp_policy" in waits and "episodes" not in waits


def test_script_is_a_choice_of_model_and_hands_off_is_passed_on():
    assert "commander" in by_name(Options(backend="mujoco", model="script"))
    by_hand = by_name(Options(backend="mujoco", model="m", auto_enable=False))["episodes"].parameters
    assert by_hand["enable"] is False and by_hand["wait_s"] == 0.0


def test_real_without_a_model_only_holds():
    assert list(by_name(Options())) == ["piper_driver", "monitor"]


def test_simulation_and_robot_differ_in_the_bus_and_in_caution_only():
    real = by_name(Options())["piper_driver"].parameters
    simulated = by_name(Options(backend="mujoco"))["piper_driver"].parameters
    assert real["can_backend"] == "socketcan" and simulated["can_backend"] == "smp_vcan"
    assert "auto_enable" not in real and simulated["auto_enable"] is True
    assert "speed_percent" not in real and simulated["speed_percent"] == 100.0
    same = {"arms.left.can_channel", "arms.right.can_channel", "on_shutdown"}
    assert {name: real[name] for name in same} == {name: simulated[name] for name in same}


def test_what_is_chosen_wins_over_the_backend():
    options = Options(backend="mujoco", auto_enable=False, speed_percent=20, can_backend="virtual")
    parameters = by_name(options)["piper_driver"].parameters
    assert parameters["auto_enable"] is False
    assert parameters["speed_percent"] == 20
    assert parameters["can_backend"] == "virtual"


def test_cell_and_driver_meet_on_the_same_segments():
    nodes = by_name(Options(backend="mujoco", left_can="l", right_can="r"))
    for node in ("cell", "piper_driver"):
        channels = [nodes[node].parameters[f"arms.{arm}.can_channel"] for arm in ("left", "right")]
        assert channels == ["l", "r"]


def test_discovery_stays_on_this_machine_unless_opened():
    ranges = {
        choice: {p.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] for p in graph(options, CONFIG)}
        for choice in ("localhost", "subnet")
        for options in [Options(backend="mujoco", discovery=choice)]
    }
    assert ranges == {"localhost": {"LOCALHOST"}, "subnet": {"SUBNET"}}


def test_only_camera_publishers_get_the_large_segment_and_every_node_the_short_lease():
    large = set()
    for process in graph(Options(backend="mujoco"), CONFIG):
        root = ElementTree.parse(process.environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).getroot()
        assert root.find(f".//{XML}leaseDuration/{XML}sec").text == "3"
        assert root.find(f"{XML}participant").get("is_default_profile") == "true"
        transport = root.find(f".//{XML}transport_descriptor")
        if transport is not None:
            large.add(process.name)
            assert int(transport.find(f"{XML}segment_size").text) == 16 * 2**20
            assert int(transport.find(f"{XML}maxMessageSize").text) == 2 * 2**20
            wanted = transport.find(f"{XML}transport_id").text
            assert [i.text for i in root.iter(f"{XML}userTransports") for i in i] == [wanted]
    assert large == {"cell"}


def test_every_process_can_be_started_both_ways():
    for process in EVERYTHING:
        assert importlib.util.find_spec(process.module) is not None, process.module
        script = f"{process.executable} = {{NAME}}.{process.module.removeprefix(process.package + '.')}:main"
        scripts = (SOURCES / process.package / "setup.py").read_text()
        assert script in scripts, f"setup.py has no console script '{script}'"


def test_every_parameter_file_is_there_and_names_its_node():
    for process in EVERYTHING:
        document = yaml.safe_load((SOURCES / process.package / "config" / process.params_file).read_text())
        assert list(document) == [process.name]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (Options(backend="robotwin"), r"robotwin needs robotwin_root"),
        (Options(robotwin_root="r"), r"robotwin_root is for backend robotwin; backend is real"),
        (Options(backend="mujoco", mode="realtime"), r"mode realtime is for backend robotwin; backend is mujoco"),
        (Options(**ROBOTWIN, mode="realtime", model="m"), r"task is unset; name the RoboTwin tasks"),
        (Options(**ROBOTWIN, teleop=True), r"teleop needs arms that a driver moves"),
        (Options(**ROBOTWIN, record="bags"), r"record needs arms that a driver moves"),
        (Options(**ROBOTWIN, model="m"), r"task is unset; name the RoboTwin tasks"),
        (Options(**ROBOTWIN, task="t"), r"'t' needs somebody who does it"),
        (Options(**ROBOTWIN, model="script", task="t"), r"RoboTwin has an expert of its own"),
        (Options(**ROBOTWIN, model="m", task="t", episodes=0), r"at least 1 of each task"),
        (Options(backend="elsewhere"), r"'elsewhere'.*valid: real, mujoco, robotwin"),
        (Options(task="lift_bar"), r"'lift_bar' needs somebody who does it; name a model"),
        (Options(model="script"), r"script, which moves simulated arms only"),
        (Options(model=""), r"model is empty; name"),
        (Options(model="m", teleop=True), r"teleop and a model both command"),
        (Options(dry_run=True), r"dry_run is about a model"),
        (Options(model="m", task="a,b"), r"'a,b'; a robot does one task at a time"),
        (Options(backend="mujoco", task="a,b"), r"'a,b'; the script does one task at a time"),
        (Options(right_can="can_left"), r"both 'can_left'"),
        (Options(left_can="can_right", right_can="can_left"), r"'can_right' and .* 'can_left': the arms are swapped"),
        (Options(speed_percent=0), r"speed_percent is 0; valid"),
        (Options(speed_percent=101), r"speed_percent is 101; valid"),
        (Options(episodes=-1), r"episodes is -1; valid"),
    ],
)
def test_what_cannot_be_started_is_refused_in_one_sentence(options, says):
    with pytest.raises(OptionError, match=says) as refusal:
        graph(options, CONFIG)
    assert "\n" not in str(refusal.value)


def test_launch_arguments_are_the_options_with_their_help():
    wanted = [f.name for f in fields(Options)]
    assert list(arguments.descriptions()) == wanted and list(arguments.defaults()) == wanted
    assert all(text.endswith(".") for text in arguments.descriptions().values())


def test_default_texts_read_as_the_default_options():
    assert arguments.parse(arguments.defaults()) == Options()


def test_texts_read_in_the_type_of_the_option():
    texts = {"auto_enable": "true", "speed_percent": "45.5", "seed": "7", "commander": "false", "model": "m"}
    assert arguments.parse(texts) == Options(auto_enable=True, speed_percent=45.5, seed=7, commander=False, model="m")


def test_choices_are_offered_where_there_are_few():
    assert arguments.choices("backend") == ("real", "mujoco", "robotwin")
    assert arguments.choices("auto_enable") == ("", "true", "false")
    assert arguments.choices("left_can") == ()


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"backend": "gazebo"}, r"backend is 'gazebo'; valid: real, mujoco, robotwin"),
        ({"auto_enable": "yes"}, r"auto_enable is 'yes'; valid: true, false"),
        ({"seed": "one"}, r"seed is 'one'; expected a number"),
        ({"sede": "1"}, r"unknown argument sede; valid: backend, "),
    ],
)
def test_texts_that_do_not_read_are_refused(texts, says):
    with pytest.raises(OptionError, match=says):
        arguments.parse(texts)


def test_a_death_is_told_with_its_cause():
    assert death("cell", -9) == "process cell was killed by signal 9"
    assert death("monitor", 2) == "process monitor ended with exit code 2"
    assert "arms hold" in death("piper_driver", -9)
