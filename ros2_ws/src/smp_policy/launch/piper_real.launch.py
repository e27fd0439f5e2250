"""Both arms, or their simulation, with everything around them: the graph of piper_bringup/system.py.

ros2 launch smp_policy piper_real.launch.py [backend:=real|mujoco] [model:=FOLDER] ...; --show-args lists all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import Transition

from launch import LaunchContext, LaunchDescription
from piper_bringup import arguments, models, readiness, viz
from piper_bringup.process import RESPAWN_S, Process, config_dir, death
from piper_bringup.run_node import Obituaries
from piper_bringup.system import environment_of, graph

GRACE_S = 2.5  # after a death, for the monitor to notice what fell silent


def generate_launch_description() -> LaunchDescription:
    """Arguments are the fields of piper_bringup.options.Options."""
    texts, helps = arguments.defaults(), arguments.descriptions()
    declared = [
        DeclareLaunchArgument(
            name, default_value=texts[name], description=helps[name], choices=arguments.choices(name) or None
        )
        for name in texts
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    texts = {name: LaunchConfiguration(name).perform(context) for name in arguments.defaults()}
    typed = dict(text.split(":=", 1) for text in context.argv if ":=" in text)  # launch ignores unknown names
    options, config = arguments.parse(texts | typed), config_dir()
    options, told = models.chosen(options, config)
    processes = graph(options, config)
    sentences = [*filter(None, (told, viz.admit(options), models.admit(processes, options)))]
    sentences += readiness.at_start(options, config)
    os.environ.update(environment_of(options, config))  # also for the node of launch itself
    obituaries = Obituaries(get_ros_node(context))
    actions: list[Action] = [LogInfo(msg=sentence) for sentence in sentences]
    for process in processes:
        node = _node(process, str(config_dir(process.package)))
        on_exit = OnProcessExit(target_action=node, on_exit=_mourning(process, obituaries))
        actions += [RegisterEventHandler(on_exit), node]
        if isinstance(node, LifecycleNode):
            actions += _bring_up(node, process.name)
    return actions


def _node(process: Process, config: str) -> Node:
    # Without a type, launch would read the text 0123 as a number.
    typed = {k: ParameterValue(v, value_type=_type(v)) for k, v in process.parameters.items()}
    kind = LifecycleNode if process.lifecycle else Node
    file = [os.path.join(config, process.params_file)] if process.params_file else []
    return kind(
        package=process.package,
        executable=process.executable,
        name=process.name,
        exec_name=process.name,
        namespace=process.namespace,
        remappings=list(process.remaps.items()),
        parameters=[*file, typed],
        additional_env=process.environment,
        prefix=f"nice -n {process.nice}" if process.nice else None,
        output="screen",
        respawn=process.respawn,
        respawn_delay=RESPAWN_S,
        sigterm_timeout=str(process.patience_s),
    )


def _type(value: object) -> type:
    """As ParameterValue wants it; lists are never empty."""
    return list[type(value[0])] if isinstance(value, list) else type(value)


def _bring_up(node: LifecycleNode, name: str) -> list[Action]:
    """Configure now, activate when configured, give up when either is refused."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))

    def when(start: str, goal: str, then: Action) -> RegisterEventHandler:
        handler = OnStateTransition(target_lifecycle_node=node, start_state=start, goal_state=goal, entities=[then])
        return RegisterEventHandler(handler)

    return [
        when("configuring", "inactive", change(Transition.TRANSITION_ACTIVATE)),
        when("configuring", "unconfigured", _break_off(f"{name} did not configure; what it said above is why")),
        when("activating", "inactive", _break_off(f"{name} did not activate; what it said above is why")),
        change(Transition.TRANSITION_CONFIGURE),
    ]


def _mourning(process: Process, obituaries: Obituaries) -> Callable:
    """What to do when a process ends: nothing if it was asked to, or if its work is done."""

    def mourn(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if context.is_shutdown or (event.returncode == 0 and process.finite):
            return []
        text = death(process.name, event.returncode)
        new = obituaries.publish(process.name, text)
        told = LogInfo(msg=text)
        if process.respawn:
            return [told] if new else []
        return [told, TimerAction(period=GRACE_S, actions=[_break_off(text)])] if process.required else [told]

    return mourn


def _break_off(text: str) -> OpaqueFunction:
    """Shut everything down, and let ros2 launch exit with 1."""

    def fail(context: LaunchContext) -> None:
        raise RuntimeError(text)

    return OpaqueFunction(function=fail)
