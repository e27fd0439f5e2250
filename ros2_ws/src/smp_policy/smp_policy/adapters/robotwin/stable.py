"""What script/eval_policy.py of branch stable_2.0 calls, by these names and with these arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from piper_bringup.data import names
from smp_policy.adapters.robotwin import convert
from smp_policy.adapters.robotwin.convert import Seen
from smp_policy.adapters.robotwin.player import Player
from smp_policy.run.contract import ContractError


def get_model(usr_args: Mapping[str, Any]) -> Player:
    """deploy_policy.yml and what overrides it. Raises ContractError, also for a task that the model does not know."""
    for arm in names.ARMS:
        has, wants = usr_args.get(f"{arm}_arm_dim"), names.ARM_DOF - 1
        if has not in (None, wants):
            text = f"the {arm} arm has {has} joints, a PiPER has {wants}; use task_config demo_piper_clean"
            raise ContractError(text)
    player = Player(usr_args, "model")
    player.choose(str(usr_args.get("task_name")))
    return player


def encode_obs(observation: Mapping[str, Any]) -> Seen:
    """In our units. Raises ContractError."""
    return convert.of_stable(observation)


def eval(TASK_ENV: Any, model: Player, observation: Mapping[str, Any]) -> None:
    """One chunk; beyond success and step limit, which the caller looks at, take_action does nothing.

    Raises ContractError.
    """
    for action in model.act(encode_obs(observation)):
        TASK_ENV.take_action(action, action_type="qpos")
        if TASK_ENV.eval_video_path is not None:
            TASK_ENV.get_obs()  # take_action films what was seen last


def reset_model(model: Player) -> None:
    """An episode begins."""
    model.reset()
