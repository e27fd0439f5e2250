"""rlbench/observation_config.py:9-30, 41-79. Grippers' joints are not observed unless asked for."""

from pyrep.const import RenderMode


class CameraConfig:
    """What a camera shows."""

    def __init__(
        self,
        rgb=True,
        rgb_noise=None,
        depth=True,
        depth_noise=None,
        point_cloud=True,
        mask=True,
        image_size=(128, 128),
        render_mode=RenderMode.OPENGL3,
        masks_as_one_channel=True,
        depth_in_meters=False,
    ):
        self.rgb, self.depth, self.point_cloud, self.mask = rgb, depth, point_cloud, mask
        self.image_size, self.render_mode = image_size, render_mode


class ObservationConfig:
    """What is observed of arms, and by which cameras."""

    def __init__(
        self,
        camera_configs=None,
        joint_velocities=True,
        joint_velocities_noise=None,
        joint_positions=True,
        joint_positions_noise=None,
        joint_forces=True,
        joint_forces_noise=None,
        gripper_open=True,
        gripper_pose=True,
        gripper_matrix=False,
        gripper_joint_positions=False,
        gripper_touch_forces=False,
        wrist_camera_matrix=False,
        record_gripper_closing=False,
        task_low_dim_state=True,
        record_ignore_collisions=True,
        robot_name="",
    ):
        self.camera_configs = camera_configs or {}
        self.joint_velocities, self.joint_positions, self.joint_forces = joint_velocities, joint_positions, joint_forces
        self.gripper_open, self.gripper_pose = gripper_open, gripper_pose
        self.gripper_joint_positions, self.robot_name = gripper_joint_positions, robot_name
