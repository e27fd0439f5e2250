"""Two arms whose joints follow their drive targets late, and whose states are the targets, as in RoboTwin."""

import mplib
import numpy as np

FOLLOW = 0.03  # of the way to its target, a physics step
BLOCKED = 0.3  # the right gripper holds something: its fingers stop here


class Joint:
    """A joint with a drive."""

    def __init__(self, position=0.0):
        self.position = self.target = position

    def get_drive_target(self):
        """(1,) float32, as sapien has it."""
        return np.array([self.target], np.float32)

    def follow(self, least=-np.inf):
        """One physics step."""
        self.position = max(least, self.position + FOLLOW * (self.target - self.position))


class Entity:
    """An articulation: fingers first, so that nobody may rely on the order."""

    def __init__(self, arms):
        self.joints = [joint for fingers, joints in arms for joint in (fingers, *joints)]

    def get_active_joints(self):
        return list(self.joints)

    def get_qpos(self):
        return np.array([joint.position for joint in self.joints], np.float32)


class Place:
    """A pose, as sapien has it."""

    def __init__(self, p, q):
        self.p, self.q = np.array(p, float), np.array(q, float)


class MplibPlanner:
    """RoboTwin's other planner: is always there, and times the qpos actions."""

    def __init__(self, urdf_path, srdf_path, move_group, robot_origion_pose, robot_entity, planner_type, scene=None):
        assert scene is not None and move_group == "link6" and robot_entity.get_active_joints()
        self.planner = mplib.Planner(robot_origion_pose)

    def plan_grippers(self, now_val, target_val):
        return {"num_step": 200, "per_step": (target_val - now_val) / 200}


class Robot:
    """What the worker uses of RoboTwin's class of this name."""

    def __init__(self, left_embodiment_config, right_embodiment_config, dual_arm_embodied, **_):
        home = [left_embodiment_config["homestate"][0], right_embodiment_config["homestate"][1]]
        for side, start, config in zip(
            ("left", "right"), home, (left_embodiment_config, right_embodiment_config), strict=True
        ):
            setattr(self, f"{side}_arm_joints", [Joint(position) for position in start])
            setattr(self, f"{side}_gripper_scale", config["gripper_scale"])
            setattr(self, f"{side}_gripper", [(Joint(config["gripper_scale"][1]), 1.0, 0.0)])
            setattr(self, f"{side}_gripper_val", 1.0)
            setattr(self, f"{side}_urdf_path", "piper.urdf")
            setattr(self, f"{side}_srdf_path", None)
            setattr(self, f"{side}_move_group", "link6")
            setattr(self, f"{side}_planner_type", "mplib_RRT")
            setattr(self, f"{side}_delta_matrix", np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0]]))
            setattr(self, f"{side}_entity_origion_pose", Place([0.0, -0.45, 0.75], [1, 0, 0, 0]))
        arms = [(self.left_gripper[0][0], self.left_arm_joints), (self.right_gripper[0][0], self.right_arm_joints)]
        self.left_entity = Entity(arms if dual_arm_embodied else arms[:1])
        self.right_entity = self.left_entity if dual_arm_embodied else Entity(arms[1:])

    def set_planner(self, scene=None):
        """Not before it is needed: in RoboTwin every robot has CuRobo, or there is none."""
        from .planner import CuroboPlanner

        self.left_planner = self.right_planner = CuroboPlanner("curobo.yml")

    def left_plan_path(self, target, constraint_pose=None):
        """`target`: xyz, wxyz in the world."""
        place = Place(target[:3], target[3:])
        now = self.left_entity.get_qpos()[:7]
        return self.left_planner.plan_path(now, place, constraint_pose=constraint_pose, arms_tag="left")

    def get_left_arm_jointState(self):
        return [float(j.get_drive_target()[0]) for j in self.left_arm_joints] + [self.left_gripper_val]

    def get_right_arm_jointState(self):
        return [float(j.get_drive_target()[0]) for j in self.right_arm_joints] + [self.right_gripper_val]

    def set_arm_joints(self, position, velocity, arm_tag):
        assert len(velocity) == len(position)
        for joint, target in zip(getattr(self, f"{arm_tag}_arm_joints"), position, strict=True):
            joint.target = float(target)

    def set_gripper(self, value, arm_tag):
        value = float(np.clip(value, 0, 1))
        closed, opened = getattr(self, f"{arm_tag}_gripper_scale")
        setattr(self, f"{arm_tag}_gripper_val", value)
        getattr(self, f"{arm_tag}_gripper")[0][0].target = closed + value * (opened - closed)

    def follow(self):
        """One physics step of both arms."""
        closed, opened = self.right_gripper_scale
        for joint in (*self.left_arm_joints, *self.right_arm_joints, self.left_gripper[0][0]):
            joint.follow()
        self.right_gripper[0][0].follow(closed + BLOCKED * (opened - closed))
