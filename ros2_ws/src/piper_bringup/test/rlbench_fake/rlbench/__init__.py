"""Nothing of RLBench: classes of ours that behave as oddly as markusgrotz/RLBench does, for tests.

Names, arguments and what comes of them are as in its 8af748c, whose files and lines are given; bodies are ours.
"""

from rlbench.action_modes.action_mode import ActionMode
from rlbench.environment import Environment
from rlbench.observation_config import CameraConfig, ObservationConfig

__all__ = ["ActionMode", "CameraConfig", "Environment", "ObservationConfig"]
