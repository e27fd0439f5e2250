"""Who says where the arms go: a trained policy, the script that stands in for one, or a person with leader arms."""

from __future__ import annotations

from pathlib import Path

from piper_bringup.cell.pushes import PUSH_RAD
from piper_bringup.data import names
from piper_bringup.options import ROBOTWIN, Options
from piper_bringup.process import POLICY_PACKAGE, Process
from piper_bringup.robotwin.record import LABEL
from piper_bringup.robotwin.settings import FIRST_SEED

POLICY_NODE, EPISODES_NODE = "smp_policy", "episodes"
SIMULATED_TASK = "lift_bar"
TELEOP_DELAY_S = 0.05
ROBOTWIN_LIMIT_S = 60.0  # of an episode in mode realtime: a thousand frames of RoboTwin's data
# RoboTwin's data have drive targets for joints, so what is learnt from them sees those, as its own scripts show them.
LOCKSTEP_REMAPS = {names.TOPIC_JOINT_STATES: names.TOPIC_JOINT_TARGETS}
# In a benchmark time stands still while the policy thinks and arms rest between chunks: nothing is committed, nothing
# delayed, and the end of every chunk is an observation, however little time its actions took.
LOCKSTEP = {
    "use_sim_time": True,
    "rate_hz": 20.0,
    "driver.commit_s": 0.0,
    "driver.blend_s": 0.0,
    "latency.delivery_s": 0.0,
}


def commanders(options: Options, environment: dict[str, str], images: dict[str, str]) -> tuple[Process, ...]:
    """Who says where the arms go, and who asks them to."""
    begins = options.simulated and options.commander  # on a robot only a person does
    if options.teleop:
        return (_teleop(options, environment),)
    if options.policy is None:  # the script knows the cell's tasks
        return (_commander(options, environment),) if begins and options.backend != ROBOTWIN else ()
    policy = policy_process(options, images)
    return (policy, _episodes(options, environment)) if begins else (policy,)


def _teleop(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="teleop",
        executable="teleop_node",
        module="piper_bringup.record.teleop_node",
        parameters={
            "can_backend": options.can_backend or ("smp_vcan" if options.simulated else "socketcan"),
            "leaders.left.can_channel": options.left_leader_can,
            "leaders.right.can_channel": options.right_leader_can,
            "delay_s": TELEOP_DELAY_S,
        },
        params_file="teleop.yaml",
        environment=environment,
        required=False,
    )


def _commander(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="commander",
        executable="commander_node",
        module="piper_bringup.commander_node",
        parameters={
            "task": options.tasks[0] if options.tasks else SIMULATED_TASK,
            "seed": options.seed,
            "episodes": options.episodes,
            "record": bool(options.record),
            "push_rad": PUSH_RAD if options.record else 0.0,  # what is shown, as files of `cell.demonstrate` show it
            **_by_hand(options),
        },
        params_file="commander.yaml",
        environment=environment,
        nice=10,
        required=False,
        finite=True,
    )


def policy_process(options: Options, environment: dict[str, str]) -> Process:
    """The policy node with the model of these options, which have one."""
    simulated = options.simulated
    return Process(
        name=POLICY_NODE,
        executable="policy_node",
        module="smp_policy.policy_node",
        package=POLICY_PACKAGE,
        parameters={
            "model": str(Path(options.policy).expanduser().absolute()),
            "task": "" if simulated or not options.tasks else options.tasks[0],
            "backend": options.inference,
            "device": options.device,
            "dry_run": options.dry_run,
            "world": "simulation" if simulated else "robot",
            "allow_sim_model": simulated or options.allow_sim_model,
            **(LOCKSTEP if options.lockstep else {}),
        },
        params_file="policy.yaml",
        environment=environment,
        nice=10 if simulated else 0,
        lifecycle=True,
        remaps=LOCKSTEP_REMAPS if options.lockstep else {},
    )


def _episodes(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name=EPISODES_NODE,
        executable="episodes_node",
        module="smp_policy.episodes_node",
        package=POLICY_PACKAGE,
        parameters={
            **({"tasks": list(options.tasks)} if options.tasks else {}),
            "model": str(Path(options.policy).expanduser().absolute()),
            "seed": options.seed,
            "episodes": options.episodes,
            "record": bool(options.record),
            **(_in_robotwin(options) if options.backend == ROBOTWIN else {}),
            **_by_hand(options),
        },
        params_file="episodes.yaml",
        environment=environment,
        nice=10,
        required=False,
        finite=True,
    )


def _in_robotwin(options: Options) -> dict[str, object]:
    """Seeds are those of its evaluation, its bridge says how long an expert may try, and its tasks take longer."""
    seed = FIRST_SEED * (1 + options.seed)
    said = {"label": f"{LABEL}; its file leaves out those that were too slow"}
    return said | {"seed": seed, "reset_s": 0.0, "limit_s": ROBOTWIN_LIMIT_S}


def _by_hand(options: Options) -> dict[str, object]:
    """Where somebody enables the arms by hand, and in their own time."""
    return {"enable": False, "wait_s": 0.0} if options.auto_enable is False else {}
