"""The node graph, described once: launch files turn it into launch_ros actions, `run.py` into processes."""

from __future__ import annotations

from pathlib import Path

from piper_bringup import robot_cameras
from piper_bringup.commanders import SIMULATED_TASK, commanders
from piper_bringup.data import names
from piper_bringup.options import ROBOTWIN, Options, check
from piper_bringup.process import Process
from piper_bringup.robotwin.record import LABEL
from piper_bringup.robotwin_processes import BRIDGE, bridge, evaluation, realtime

# A leader's chunks follow each other every 20 ms and agree: little is committed, little faded, and so little delayed.
TELEOP_PLAN = {"plan.commit_s": 0.0, "plan.blend_s": 0.05}
SIMULATED_TAIL_S = 3.0  # recorded after an episode was judged: the arms on their way home
# glibc gives freed memory of more than 128 kB back at once; fresh pages for every image cost more than the image.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20)}


def graph(
    options: Options, config: Path, has: robot_cameras.Installed = robot_cameras.installed
) -> tuple[Process, ...]:
    """The processes of a deployment, in the order in which they start; they end in the reverse order.

    config: installed config folder of the package, for the Fast DDS profiles and the robot's cameras.
    has: whether a ROS package with camera nodes is installed.
    Raises OptionError when these options cannot be served.
    """
    check(options)
    environment = environment_of(options, config)
    images = environment | KEEP_MEMORY
    publishing = images | {"FASTRTPS_DEFAULT_PROFILES_FILE": str(config / "fastdds_cameras.xml")}
    if options.lockstep:
        seen = (_viz(options, images),) if options.viz else ()
        return (bridge(options, publishing), *seen, *evaluation(options, environment, images))
    cameras = robot_cameras.described(options, config)
    processes = [_driver(options, environment), _monitor(options, tuple(c.name for c in cameras), images)]
    if options.simulated:
        processes.insert(0, (realtime if options.backend == ROBOTWIN else _cell)(options, publishing))
    processes += robot_cameras.processes(options, cameras, publishing, has)
    if options.record:
        processes.append(_recorder(options, images))
    if options.viz:
        processes.append(_viz(options, images))
    return (*processes, *commanders(options, environment, images))


def environment_of(options: Options, config: Path) -> dict[str, str]:
    """What every ROS process of the deployment sees, the starter's own node included."""
    return {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": options.discovery.upper(),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(config / "fastdds.xml"),
        "PYTHONUNBUFFERED": "1",
    }


def _driver(options: Options, environment: dict[str, str]) -> Process:
    chosen = {
        "auto_enable": options.auto_enable,
        "speed_percent": options.speed_percent,
    }
    simulated = {"auto_enable": True, "speed_percent": 100.0} if options.simulated else {}
    return Process(
        name=names.DRIVER_NODE,
        executable="driver_node",
        module="piper_bringup.arm.driver_node",
        parameters={
            "can_backend": options.can_backend or ("smp_vcan" if options.simulated else "socketcan"),
            "arms.left.can_channel": options.left_can,
            "arms.right.can_channel": options.right_can,
            "on_shutdown": options.on_shutdown,
            **simulated,
            **{name: value for name, value in chosen.items() if value is not None},
            **(TELEOP_PLAN if options.teleop else {}),
        },
        params_file="driver.yaml",
        environment=environment,
        lifecycle=True,
        patience_s=5.0 if options.on_shutdown == "hold" else 30.0,
    )


def _cell(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="cell",
        executable="cell_node",
        module="piper_bringup.cell.cell_node",
        parameters={
            "task": options.tasks[0] if options.tasks else SIMULATED_TASK,
            "seed": options.seed,
            "arms.left.can_channel": options.left_can,
            "arms.right.can_channel": options.right_can,
        },
        params_file="cell.yaml",
        environment=environment,
        nice=5,
    )


def _monitor(options: Options, cameras: tuple[str, ...], environment: dict[str, str]) -> Process:
    robot = {"camera_node": "its camera node", "cameras": list(cameras), "cameras_due": options.sees}
    simulated = {}
    if options.backend == ROBOTWIN:
        simulated = {"camera_node": BRIDGE, "model": f"{options.model or 'none'}, {LABEL}"}
    return Process(
        name="monitor",
        executable="monitor_node",
        module="piper_bringup.seen.monitor_node",
        parameters={"out": options.out, "model": options.model or ""} | (simulated if options.simulated else robot),
        params_file="monitor.yaml",
        environment=environment,
        nice=5,
        required=False,
        patience_s=30.0 if options.out else 5.0,  # the page is drawn at the end
    )


def _viz(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="viz",
        executable="viz_node",
        module="piper_bringup.look.viz_node",
        parameters={"out": options.out},
        params_file="viz.yaml",
        environment=environment,
        nice=15,  # behind the policy: what is not seen is nobody's loss
        required=False,
        patience_s=15.0,  # a file is closed before it ends
    )


def _recorder(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="recorder",
        executable="recorder_node",
        module="piper_bringup.record.recorder_node",
        parameters={"out": options.record} | ({"tail_s": SIMULATED_TAIL_S} if options.simulated else {}),
        params_file="recorder.yaml",
        environment=environment,
        nice=5,
        required=False,
        patience_s=60.0,  # a bag is closed before it ends
    )
