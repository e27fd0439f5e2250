"""What a deployment chooses: one dataclass for launch arguments and for the command line of `run.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ROBOTWIN = "robotwin"
SIMULATED_BACKENDS = ("mujoco", ROBOTWIN)
SCRIPT = "script"  # in place of a model


class OptionError(ValueError):
    """An option, or a combination of options, that nothing can be started with."""


@dataclass(frozen=True)
class Options:
    """What a deployment chooses. Tuning lives in config/*.yaml."""

    backend: Literal["real", "mujoco", "robotwin"] = "real"
    """Whose arms move: the robot's, those of the MuJoCo cell, or those of RoboTwin 2.0."""
    robotwin_root: str | None = None
    """RoboTwin: folder of its checkout."""
    robotwin_python: str = "python"
    """RoboTwin: the Python of the environment that it is installed in."""
    mode: Literal["benchmark", "realtime"] = "benchmark"
    """RoboTwin: its own protocol, in lockstep; or emulated arms that a driver moves, which is NOT its protocol."""
    left_can: str = "can_left"
    """CAN interface of the left arm."""
    right_can: str = "can_right"
    """CAN interface of the right arm."""
    can_backend: str | None = None
    """python-can interface type; unset: socketcan on real, smp_vcan in simulation."""
    model: str | None = None
    """Folder of a trained policy; unset: in simulation the one that is shipped, if any; script: none."""
    inference: Literal["onnx", "torch"] = "onnx"
    """What computes the model; onnx needs no torch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is computed; auto: on a GPU where there is one."""
    cameras: Literal["realsense", "usb", "external"] = "external"
    """Robot: whose cameras to start, as config/cameras.yaml names them; external: none, somebody publishes /cam_*."""
    dry_run: bool = False
    """The model's chunks go to /smp/action_chunk_dry, to which the driver does not listen."""
    allow_sim_model: bool = False
    """Robot: run a model that was trained in simulation."""
    task: str | None = None
    """Task to run, or several with commas between; unset: in the cell all of the model's, or lift_bar by script."""
    auto_enable: bool | None = None
    """Switch the motors on at start; unset: config/driver.yaml (false) on real, true in simulation."""
    speed_percent: float | None = None
    """Speed limit of the arms [%]; unset: config/driver.yaml (30) on real, 100 in simulation."""
    on_shutdown: Literal["hold", "park", "park_and_disable"] = "hold"
    """What the arms do when the driver ends."""
    commander: bool = True
    """Simulation: begin episodes, by the model or else by script; false: the arms wait for you to ask."""
    episodes: int = 1
    """Simulation: episodes of each task; 0: until stopped."""
    teleop: bool = False
    """Two leader arms move the arms, instead of a policy or a commander."""
    left_leader_can: str = "can_leader_left"
    """CAN interface of the left leader arm."""
    right_leader_can: str = "can_leader_right"
    """CAN interface of the right leader arm."""
    record: str = ""
    """Folder for bags: also start the recorder, which simulated episodes use by themselves; empty: none."""
    seed: int = 0
    """Simulation: seed of the first episode's start state, later ones count up; RoboTwin: seed of its evaluation."""
    discovery: Literal["localhost", "subnet"] = "localhost"
    """Where ROS 2 looks for peers: on this machine only, or on its network too."""
    out: str = ""
    """Folder for report.html, summary.json and head.mp4; empty: the table is printed, nothing is kept."""
    viz: bool = False
    """Show the run in Rerun as it goes on; where there is no display, write run.rrd into `out`."""

    @property
    def simulated(self) -> bool:
        """True when no arm of the real world can move."""
        return self.backend in SIMULATED_BACKENDS

    @property
    def lockstep(self) -> bool:
        """Whether time stands still while the policy thinks, and no driver moves any arm."""
        return self.backend == ROBOTWIN and self.mode == "benchmark"

    @property
    def sees(self) -> bool:
        """Whether somebody on a robot wants its cameras."""
        return not self.simulated and (self.cameras != "external" or bool(self.policy or self.record))

    @property
    def policy(self) -> str | None:
        """Folder of the model that is to run, if one is."""
        return None if self.model == SCRIPT else self.model

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that were named."""
        return tuple(task.strip() for task in self.task.split(",")) if self.task else ()


def check(options: Options) -> None:
    """Raises OptionError, in one sentence, for what cannot be started."""
    available = ("real", *SIMULATED_BACKENDS)
    if options.backend not in available:
        raise OptionError(f"backend is {options.backend!r}; valid: {', '.join(available)}")
    if options.backend == ROBOTWIN:
        _check_robotwin(options)
    elif options.robotwin_root is not None:
        raise OptionError(f"robotwin_root is for backend {ROBOTWIN}; backend is {options.backend}")
    elif options.mode != "benchmark":
        raise OptionError(f"mode {options.mode} is for backend {ROBOTWIN}; backend is {options.backend}")
    _check_policy(options)
    if options.simulated and options.cameras != "external":
        raise OptionError(f"cameras is {options.cameras}, which a robot has; in simulation the cell draws the pictures")
    _check_buses(options)
    if options.speed_percent is not None and not 0 < options.speed_percent <= 100:
        raise OptionError(f"speed_percent is {options.speed_percent:g}; valid: above 0, at most 100")
    if options.episodes < 0:
        raise OptionError(f"episodes is {options.episodes}; valid: 0 (until stopped) and above")


def _check_robotwin(options: Options) -> None:
    """What its bridge can be started with."""
    if not options.robotwin_root:
        raise OptionError("backend robotwin needs robotwin_root: the folder of a RoboTwin checkout")
    for name in ("teleop", "record", "dry_run"):
        if options.lockstep and getattr(options, name):
            raise OptionError(f"{name} needs arms that a driver moves; backend robotwin has none in mode benchmark")
    if options.model == SCRIPT:
        raise OptionError("model is script, which knows the cell's tasks; RoboTwin has an expert of its own")
    if options.policy and options.commander and not options.tasks:
        raise OptionError("task is unset; name the RoboTwin tasks that the model is to be evaluated on")
    if options.tasks and not options.policy:
        raise OptionError(f"task {options.task!r} needs somebody who does it; name a model that knows it")
    if options.lockstep and options.episodes < 1:
        raise OptionError(f"episodes is {options.episodes}; an evaluation in RoboTwin has at least 1 of each task")


def _check_buses(options: Options) -> None:
    """Each arm has one, and none has the other's by its name."""
    left, right = options.left_can, options.right_can
    if left == right:
        raise OptionError(f"left_can and right_can are both {left!r}; each arm needs its own bus")
    if "right" in left and "left" in right:
        raise OptionError(f"left_can is {left!r} and right_can is {right!r}: the arms are swapped")
    buses = [left, right, options.left_leader_can, options.right_leader_can]
    if options.teleop and len(set(buses)) < len(buses):
        raise OptionError(f"arms and leader arms are on {', '.join(buses)}; each of the four needs its own bus")


def _check_policy(options: Options) -> None:
    """What concerns the model, or the script that stands in for one."""
    if options.model == SCRIPT and not options.simulated:
        raise OptionError("model is script, which moves simulated arms only; name the folder of one, or leave it unset")
    if options.policy == "":
        raise OptionError("model is empty; name the folder of a model, or leave it unset")
    if options.policy is not None and options.teleop:
        raise OptionError("teleop and a model both command the arms; leave one of them unset")
    if options.dry_run and options.policy is None:
        raise OptionError("dry_run is about a model, and none is given; name one (model)")
    if options.policy is not None and options.simulated:
        return
    if options.policy is None and options.tasks and not options.simulated:
        raise OptionError(f"task {options.task!r} needs somebody who does it; name a model that knows it")
    if len(options.tasks) > 1:
        who = "a robot does" if options.policy else "the script does"
        raise OptionError(f"task is {options.task!r}; {who} one task at a time")
