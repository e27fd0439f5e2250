"""RoboTwin 2.0 in the node graph: as a benchmark without driver and cell, or in place of the cell, below the driver."""

from __future__ import annotations

from pathlib import Path

from piper_bringup.commanders import policy_process
from piper_bringup.options import Options
from piper_bringup.process import Process

BRIDGE = "robotwin_bridge"  # one node in either mode: its parameters are the same


def bridge(options: Options, environment: dict[str, str]) -> Process:
    """Mode benchmark. Starts RoboTwin's own process, and ends with it."""
    return Process(
        name=BRIDGE,
        executable="robotwin_bridge_node",
        module="piper_bringup.robotwin.bridge_node",
        parameters=_place(options),
        params_file="robotwin.yaml",
        environment=environment,
        patience_s=15.0,  # the file of an evaluation is written before it ends
    )


def realtime(options: Options, environment: dict[str, str]) -> Process:
    """Mode realtime: emulated arms on both buses, which RoboTwin's arms follow."""
    return Process(
        name=BRIDGE,
        executable="robotwin_realtime_node",
        module="piper_bringup.robotwin.realtime_node",
        parameters={
            **_place(options),
            "arms.left.can_channel": options.left_can,
            "arms.right.can_channel": options.right_can,
            **({"realtime.policy": options.policy} if options.policy else {}),
        },
        params_file="robotwin.yaml",
        environment=environment,
        nice=5,
        patience_s=15.0,  # the file of the episodes is written before it ends
    )


def evaluation(options: Options, environment: dict[str, str], images: dict[str, str]) -> tuple[Process, ...]:
    """The policy, where there is one, and who asks for its evaluation, where one is to begin."""
    if options.policy is None:
        return ()
    policy = policy_process(options, images)
    return (policy, _asks(options, environment)) if options.commander else (policy,)


def _place(options: Options) -> dict[str, object]:
    return {
        "root": str(Path(options.robotwin_root).expanduser().absolute()),
        "python": options.robotwin_python,
        **({"out": options.out} if options.out else {}),
    }


def _asks(options: Options, environment: dict[str, str]) -> Process:
    return Process(
        name="evaluation",
        executable="evaluate_node",
        module="piper_bringup.robotwin.evaluate_node",
        parameters={
            "tasks": list(options.tasks),
            "episodes": options.episodes,
            "seed": options.seed,
            "policy": options.policy,
        },
        params_file="evaluation.yaml",
        environment=environment,
        required=False,
        finite=True,
    )
