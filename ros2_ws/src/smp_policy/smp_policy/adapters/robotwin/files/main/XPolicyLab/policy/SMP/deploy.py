"""The loop of XPolicyLab's own clients; RoboTwin brings its own."""


def eval_one_episode(TASK_ENV, model_client):
    """One environment: a chunk for every observation."""
    model_client.call(func_name="reset")
    while not TASK_ENV.is_episode_end():
        model_client.call(func_name="update_obs", obs=TASK_ENV.get_obs())
        for action in model_client.call(func_name="get_action"):
            TASK_ENV.take_action(action)
            if TASK_ENV.is_episode_end():
                break


def eval_one_episode_batch(TASK_ENV, model_client):
    """Several at once: those that have ended leave."""
    model_client.call(func_name="reset")
    while not TASK_ENV.is_episode_end():
        running = TASK_ENV.get_running_env_idx_list()
        model_client.call(func_name="update_obs_batch", obs=TASK_ENV.get_obs_batch(running))
        chunks = dict(zip(running, model_client.call(func_name="get_action_batch", obs=running), strict=True))
        for actions in zip(*chunks.values(), strict=True):
            still = set(TASK_ENV.get_running_env_idx_list())
            going = {env: action for env, action in zip(chunks, actions, strict=True) if env in still}
            if not going:
                break
            TASK_ENV.take_action_batch(list(going.values()), list(going))
