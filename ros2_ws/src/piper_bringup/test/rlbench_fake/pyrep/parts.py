"""Arms, grippers and cameras of task_design_bimanual.ttt."""

import numpy as np

ARM_SPEED, FINGER_SPEED, OPEN_M, POSITION_ERROR = 2.0, 0.1, 0.04, 0.001


class Joint:
    """A drive by position or by velocity: objects/joint.py:82-92, 102-107, 194-200."""

    def __init__(self, speed, low=-np.inf, high=np.inf):
        self.speed, self.low, self.high = speed, low, high
        self.position = self.target = self.velocity = 0.0
        self.by_position = False

    def follow(self, dt_s):
        """A step. By position, the target velocity means nothing."""
        far = self.speed * dt_s
        move = np.clip(self.target - self.position, -far, far) if self.by_position else self.velocity * dt_s
        self.position = float(np.clip(self.position + move, self.low, self.high))


class Component:
    """robots/robot_component.py: what arms and grippers have in common."""

    def __init__(self, pyrep, joints):
        self.joints = joints
        pyrep.joints.extend(joints)

    def get_joint_positions(self):
        return [joint.position for joint in self.joints]

    def set_joint_positions(self, positions, disable_dynamics=False):
        """robot_component.py:79-117: targets come along."""
        assert disable_dynamics
        self._assert_len(positions)
        for joint, position in zip(self.joints, positions):  # noqa: B905
            joint.position = joint.target = position

    def set_joint_target_positions(self, positions):
        self._assert_len(positions)
        for joint, position in zip(self.joints, positions):  # noqa: B905
            joint.target = float(position)

    def set_joint_target_velocities(self, velocities):
        self._assert_len(velocities)
        for joint, velocity in zip(self.joints, velocities):  # noqa: B905
            joint.velocity = float(velocity)

    def set_control_loop_enabled(self, value):
        for joint in self.joints:
            joint.by_position = bool(value)

    def _assert_len(self, inputs):
        """robot_component.py:271-275."""
        if len(self.joints) != len(inputs):
            raise RuntimeError(
                f"Tried to set values for {len(inputs)} joints, but joint group consists of {len(self.joints)} joints."
            )


class Tip:
    """objects/object.py:222-233: xyz, and the quaternion's w last."""

    def __init__(self, arm, y):
        self.arm, self.y = arm, y

    def get_pose(self):
        half = self.arm.joints[0].position / 2  # turned about z by the first joint
        return np.array([0.3, self.y, 1.2, 0.0, 0.0, np.sin(half), np.cos(half)])


class Arm(Component):
    """robots/arms/dual_panda.py: seven joints."""

    def __init__(self, pyrep, start, y):
        super().__init__(pyrep, [Joint(ARM_SPEED) for _ in range(7)])
        self._tip = Tip(self, y)
        self.set_joint_positions(start, disable_dynamics=True)

    def get_tip(self):
        return self._tip


class Gripper(Component):
    """robots/end_effectors/gripper.py: two fingers, `stop_m` apart from where they close: above 0 on something."""

    def __init__(self, pyrep, stop_m):
        super().__init__(pyrep, [Joint(FINGER_SPEED, stop_m, OPEN_M) for _ in range(2)])
        self.set_joint_positions([OPEN_M, OPEN_M], disable_dynamics=True)
        self._before, self._grasped = None, []

    def actuate(self, amount, velocity):
        """gripper.py:77-131: by velocity; done once there, or once it does not move any more."""
        if not 0.0 <= amount <= 1.0:
            raise ValueError("'open_amount' should be between 0 and 1.'")
        now = self.joints[0].position
        still = self._before is not None and abs(now - self._before) < POSITION_ERROR
        done = still or abs(amount * OPEN_M - now) < POSITION_ERROR
        self._before = None if done else now
        self.set_joint_target_velocities([0.0 if done else np.copysign(velocity, amount * OPEN_M - now)] * 2)
        return done

    def get_open_amount(self):
        """gripper.py:133-144."""
        return [np.clip(joint.position / OPEN_M, 0.0, 1.0) for joint in self.joints]

    def release(self):
        self._grasped = []

    def get_grasped_objects(self):
        return self._grasped


class VisionSensor:
    """objects/vision_sensor.py. Every camera is red, and greener with every picture of any of them; blue never."""

    pictures = 0

    def __init__(self, name):
        self.name, self.resolution, self._there = name, None, True

    def remove(self):
        self._there = False

    def still_exists(self):
        return self._there

    def set_resolution(self, resolution):
        self.resolution = resolution

    def handle_explicitly(self):
        assert self._there, "a camera that was removed is drawn"
        VisionSensor.pictures += 1

    def capture_rgb(self):
        """vision_sensor.py:129-134 and backend/sim.py:282-292: (h, w, 3) of floats from 0 to 1."""
        picture = np.zeros((self.resolution[1], self.resolution[0], 3), np.float32)
        picture[..., 0], picture[..., 1] = 1.0, (VisionSensor.pictures + 0.5) / 255
        return picture

    def get_matrix(self):
        """(4, 4) camera to world: 2 m up, looking down, its top towards +x."""
        return np.array([[0, 1, 0, 0.1], [1, 0, 0, -0.2], [0, 0, -1, 2.0], [0, 0, 0, 1.0]])

    def get_intrinsic_matrix(self):
        """vision_sensor.py:185-199: focal lengths are negative."""
        f = -self.resolution[0] / (2 * np.tan(np.radians(60) / 2))
        return np.array([[f, 0.0, self.resolution[0] / 2], [0.0, f, self.resolution[1] / 2], [0.0, 0.0, 1.0]])
