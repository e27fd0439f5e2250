"""The topics of a recorded episode: one list for the recorder, for `ros2 bag record` and for the conversion.

    ros2 bag record -s mcap $(python -m piper_bringup.data.topics)

records an equally convertible bag (cameras there need a compressed transport; raw images are in the list of
`python -m piper_bringup.data.topics --raw`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from piper_bringup.data import names

TOPIC_OBJECTS = "/cell/objects"  # ground truth of the simulated cell; absent on the robot
COMPRESSED = "/compressed"


@dataclass(frozen=True)
class Topic:
    """A topic and its type, as "package/msg/Name"."""

    name: str
    type: str


def compressed_topic(camera: str) -> str:
    """JPEG beside the raw image: sensor_msgs/CompressedImage."""
    return names.image_topic(camera) + COMPRESSED


STATE = (
    Topic(names.TOPIC_JOINT_STATES, "sensor_msgs/msg/JointState"),
    *(Topic(names.joint_command_topic(arm), "sensor_msgs/msg/JointState") for arm in names.ARMS),
    Topic(names.TOPIC_ACTION_CHUNK, "trajectory_msgs/msg/JointTrajectory"),
    Topic(names.TOPIC_SKILL_STATE, "smp_msgs/msg/SkillState"),
    *(Topic(names.arm_status_topic(arm), "smp_msgs/msg/ArmStatus") for arm in names.ARMS),
    Topic(names.TOPIC_SAFETY_EVENT, "smp_msgs/msg/SafetyEvent"),
    Topic(names.TOPIC_EPISODE_EVENT, "smp_msgs/msg/EpisodeEvent"),
    Topic(names.TOPIC_ESTOP_STATE, "std_msgs/msg/Bool"),
    Topic(names.TOPIC_TASK, "std_msgs/msg/String"),
    Topic(names.TOPIC_DIAGNOSTICS, "diagnostic_msgs/msg/DiagnosticArray"),
    Topic(TOPIC_OBJECTS, "sensor_msgs/msg/PointCloud2"),
)
CAMERA_INFO = tuple(Topic(names.camera_info_topic(camera), "sensor_msgs/msg/CameraInfo") for camera in names.CAMERAS)
IMAGES = tuple(Topic(compressed_topic(camera), "sensor_msgs/msg/CompressedImage") for camera in names.CAMERAS)
RAW_IMAGES = tuple(Topic(names.image_topic(camera), "sensor_msgs/msg/Image") for camera in names.CAMERAS)
RECORDED = (*STATE, *CAMERA_INFO, *IMAGES)  # what a bag of the recorder holds


def pictures(camera: str, publishers: Callable[[str], int], present: Topic | None = None) -> Topic:
    """Where a camera is listened to live: raw, the quickest way; compressed where nobody publishes raw pictures.

    publishers: how many a topic has. present: where it is listened to now, which stays while nobody publishes.
    """
    i = names.CAMERAS.index(camera)
    offered = [topic for topic in (RAW_IMAGES[i], IMAGES[i]) if publishers(topic.name) > 0]
    return offered[0] if offered else present or RAW_IMAGES[i]


# Keys of rosbag2's custom_data in metadata.yaml; every value is text.
TASK, INSTRUCTION, OPERATOR, OUTCOME, SEED = "task", "instruction", "operator", "outcome", "seed"
AUDIT = "audit"  # AUDIT_PASSED, or why the episode is not a good one
REPAIRED = "repaired"  # "true" where the recording was cut off; the audit is then that of what was left
CONTRACT, VERSIONS = "contract", "versions"  # JSON objects
AUDIT_PASSED = "passed"
SUCCESS, FAILURE, UNKNOWN = "success", "failure", "unknown"  # outcomes


def main() -> None:
    """Print the names, one a line; `--raw`: with raw images instead of compressed ones."""
    images = RAW_IMAGES if sys.argv[1:] == ["--raw"] else IMAGES
    if sys.argv[1:] not in ([], ["--raw"]):
        sys.exit(f"topics: unknown argument {' '.join(sys.argv[1:])!r}; valid: --raw, or none")
    print("\n".join(topic.name for topic in (*STATE, *CAMERA_INFO, *images)))


if __name__ == "__main__":
    main()
