"""Joints, topics, cameras, frames, the chunk grid and the PiPER's published limits: defined here, once.

State and action order everywhere: left_joint1..6, left_gripper, right_joint1..6, right_gripper.
Radians, metres of gripper opening, integer nanoseconds.
"""

from __future__ import annotations

ARMS = ("left", "right")
ARM_JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
ARM_DOF = len(ARM_JOINTS) + 1  # six joints and the gripper
JOINTS = tuple(f"{arm}_{joint}" for arm in ARMS for joint in (*ARM_JOINTS, "gripper"))  # 14
GRIPPER_COLUMNS = (6, 13)  # columns of JOINTS in metres; all others are radians

# Chunk grid (house plan, "rows and rates").
DT_NS = 50_000_000  # one row every 0.05 s
HORIZON = 16  # rows a chunk
REPLAN_ROWS = 4  # a new chunk every 4 rows: 5 Hz

# piper_sdk 0.6.2 piper_param_manager, [rad]; the arm's own answer (0x473) narrows it at run time.
JOINT_LOWER_RAD = (-2.6179, 0.0, -2.967, -1.745, -1.22, -2.09439)
JOINT_UPPER_RAD = (2.6179, 3.14, 0.0, 1.745, 1.22, 2.09439)
POSITION_MARGIN_RAD = 0.02  # S2: commands stay this far inside the limits
GRIPPER_MAX_M = 0.07  # V1 stroke; V2 grippers open 0.10 m (driver parameter gripper.max_width)

# Where an arm may be switched off without dropping: folded, as it stands after power-up.
REST_RAD = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
# What to command for it: joints 2 and 3 rest on their limits, and commands keep the margin to those.
FOLDED_RAD = (0.0, POSITION_MARGIN_RAD, -POSITION_MARGIN_RAD, 0.0, 0.0, 0.0)

CAMERAS = ("head", "left_wrist", "right_wrist")
IMAGE_WIDTH, IMAGE_HEIGHT = 320, 240
WORLD_FRAME = "world"

TOPIC_JOINT_STATES = "/joint_states"
TOPIC_ACTION_CHUNK = "/smp/action_chunk"
TOPIC_ACTION_CHUNK_DRY = f"{TOPIC_ACTION_CHUNK}_dry"  # of a dry run: the driver does not listen
TOPIC_SKILL_STATE = "/smp/skill_state"
TOPIC_SAFETY_EVENT = "/smp/safety_event"
TOPIC_EPISODE_EVENT = "/smp/episode_event"
TOPIC_ESTOP_STATE = "/smp/estop_state"
TOPIC_TASK = "/smp/task"
TOPIC_DIAGNOSTICS = "/diagnostics"
TOPIC_LIVE = "/smp/live"
SERVICE_RESET_EPISODE = "/cell/reset_episode"
SERVICE_CLEAR = "/cell/clear"  # takes things out of the hands, as a person would before the arms park

# A benchmark's own simulator behind its bridge: its time, its words, and what it can be asked.
TOPIC_CLOCK = "/clock"
TOPIC_JOINT_TARGETS = "/robotwin/joint_targets"  # as TOPIC_JOINT_STATES, but of the drives
TOPIC_INSTRUCTION = "/robotwin/instruction"
TOPIC_BENCHMARK_STATE = "/robotwin/episode_state"
SERVICE_LIST_TASKS = "/robotwin/list_tasks"
SERVICE_BENCHMARK_RESET = "/robotwin/reset"
SERVICE_BENCHMARK_STEP = "/robotwin/step"
SERVICE_BENCHMARK_EXPERT = "/robotwin/expert"
ACTION_EVALUATE = "/robotwin/evaluate"

ACTION_RUN_POLICY = "/run_policy"
DRIVER_NODE = "piper_driver"


def joint_command_topic(arm: str) -> str:
    """Set-points streamed to one arm after every limit, sensor_msgs/JointState."""
    return f"/{arm}/joint_command"


def arm_status_topic(arm: str) -> str:
    """smp_msgs/ArmStatus of one arm."""
    return f"/{arm}/arm_status"


def ee_pose_topic(arm: str) -> str:
    """geometry_msgs/PoseStamped in WORLD_FRAME, x along the fingers; of the benchmark's bridge alone."""
    return f"/{arm}/ee_pose"


def image_topic(camera: str) -> str:
    """sensor_msgs/Image, rgb8 or bgr8; append /compressed for JPEG."""
    return f"/cam_{camera}/image_raw"


def camera_info_topic(camera: str) -> str:
    """sensor_msgs/CameraInfo beside the image."""
    return f"/cam_{camera}/camera_info"


def camera_frame(camera: str) -> str:
    """Optical frame (REP-103: x right, y down, z forward)."""
    return f"cam_{camera}_optical_frame"


def base_frame(arm: str) -> str:
    """Base link of one arm."""
    return f"{arm}_base_link"
