from .deploy_policy import *  # noqa: F403
