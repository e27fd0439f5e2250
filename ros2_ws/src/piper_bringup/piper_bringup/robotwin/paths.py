"""Paths of RoboTwin's own mplib, asked as its planner CuRobo is: where there is no CUDA.

mplib gives the kinematics and the timing. Its world is empty: a path is the straight line of the joints, or of the hand
where its attitude is to be held, and what stands in between is hit. Where nothing else is in reach, a hand is half a
turn about where it points from what was asked: its two fingers are alike. The same question has the same answer. Python
3.10, and what RoboTwin imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mplib
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PHYSICS_S = 1.0 / 250.0
_SPEED = 1.5  # mplib goes at up to 1 rad/s and 1 rad/s2; so many times as fast is 1.5, as our driver allows, and 2.25
_TRIES = 20  # random places of the joints to search from, beside where they are
_TOLERANCE = 1e-3  # of a pose: metres, and the length of a difference of quaternions
_ALIKE = np.cos(0.25)  # of two quaternions whose hands are less than half a radian apart
_STEP_M = 0.01  # between the poses of a hand that goes straight
_TURNED_OVER_RAD = 0.5  # a joint that turns further within one such step has taken another way
_GRASP_M, _LIFT_M = 0.09, 0.08  # how far most of RoboTwin's tasks go on from where a grasp begins
_STAND = 50  # steps of a path to where the arm is, as RoboTwin has it for qpos: grippers move meanwhile


class Paths:
    """In place of CuRobo's planner of one arm.

    `planner`: RoboTwin's MplibPlanner of it. `ahead` (3,): where its gripper points, in the frame of its hand.
    """

    def __init__(self, planner: Any, ahead: Floats) -> None:
        self._arm, self._ahead = planner.planner, np.asarray(ahead, float)
        self._half_turn = mplib.Pose([0, 0, 0], [0, *self._ahead])
        self.plan_grippers = planner.plan_grippers

    def plan_path(
        self, now: Sequence[float], target: Any, constraint_pose: Any = None, arms_tag: str | None = None
    ) -> dict[str, Any]:
        """From the joints `now` to the hand at `target` (a pose in the world); with a constraint, straight.

        status Success, position (n, 6) rad and velocity (n, 6) rad/s, one row a physics step; or status Failure.
        """
        start, goal = np.asarray(now, float), self._in_base(target.p, target.q)
        if constraint_pose is not None:
            places = self._straight(start, goal)
        else:
            either = self._as_it_is(start, goal)
            places = self._to(start, either[0]) or self._to(start, either[1])
        return self._timed(start, places) if places else {"status": "Failure"}

    def plan_batch(self, now: Sequence[float], targets: Sequence[Any], **_: Any) -> dict[str, Any]:
        """The same to each of `targets`: lists of status (Success or Failure), position and velocity.

        RoboTwin chooses among these where a grasp begins, and looks no further: so a target counts as reached only
        where the hand can go on from it, ahead and then up. Of tasks that begin nearer, grasps that could be reached
        are refused with the others.
        """
        start, plans = np.asarray(now, float), []
        for target in targets:
            places = self._to(start, self._in_base(target.p, target.q))
            leads = places and self._leads_on(places[-1], target)
            plans.append(self._timed(start, places) if leads else {"status": "Failure"})
        status = [plan["status"] for plan in plans]
        return {"status": status} | {name: [plan.get(name) for plan in plans] for name in ("position", "velocity")}

    def _in_base(self, position: Floats, attitude: Floats) -> Any:
        return self._arm.robot.get_base_pose().inv() * mplib.Pose(position, attitude)

    def _leads_on(self, place: Floats, target: Any) -> bool:
        """Whether the hand can go on straight from `target`, where the joints are at `place`."""
        ahead = (mplib.Pose(target.p, target.q) * mplib.Pose(_GRASP_M * self._ahead, [1, 0, 0, 0])).p
        for position in (ahead, ahead + np.array([0.0, 0.0, _LIFT_M])):
            places = self._straight(place, self._in_base(position, target.q))
            if not places:
                return False
            place = places[-1]
        return True

    def _hand(self, joints: Floats) -> Any:
        self._arm.pinocchio_model.compute_forward_kinematics(joints)
        return self._arm.pinocchio_model.get_link_pose(self._arm.move_group_link_id)

    def _as_it_is(self, start: Floats, goal: Any) -> tuple[Any, Any]:
        """`goal`, and half a turn from it; the other way round where the hand is already turned like that."""
        turned = goal * self._half_turn
        return (turned, goal) if abs(np.dot(self._hand(start).q, turned.q)) > _ALIKE else (goal, turned)

    def _to(self, start: Floats, goal: Any) -> list[Floats]:
        """The place of the joints that has the hand at `goal` and is nearest to `start`; empty if none was found."""
        low, high = np.clip(self._arm.joint_limits, -np.pi, np.pi).T
        guesses = (start, *np.random.default_rng(0).uniform(low, high, (_TRIES, len(low))))
        found = [self._at(guess, start, goal) for guess in guesses]
        return sorted((place for place in found if place is not None), key=lambda q: np.abs(q - start).max())[:1]

    def _straight(self, start: Floats, goal: Any) -> list[Floats]:
        """Places of the joints along the straight way of the hand to `goal`; empty where there is none."""
        here, goal = self._hand(start), self._as_it_is(start, goal)[0]
        sign = 1.0 if np.dot(here.q, goal.q) >= 0 else -1.0
        places = [start]
        count = max(1, int(np.ceil(np.linalg.norm(goal.p - here.p) / _STEP_M)))
        for share in np.arange(1, count + 1) / count:
            attitude = here.q * (1.0 - share) + sign * goal.q * share
            pose = mplib.Pose(here.p + (goal.p - here.p) * share, attitude / np.linalg.norm(attitude))
            place = self._at(places[-1], start, pose)
            if place is None or np.abs(place - places[-1]).max() > _TURNED_OVER_RAD:
                return []
            places.append(place)
        return places[1:]

    def _at(self, guess: Floats, start: Floats, goal: Any) -> Floats | None:
        """Joints with the hand at `goal`, searched from `guess`; those of the gripper are as in `start`."""
        arm = self._arm
        guess = np.clip(guess, *np.transpose(arm.joint_limits))  # of a finger a little beyond its end nothing is found
        found, reached, _ = arm.pinocchio_model.compute_IK_CLIK(arm.move_group_link_id, goal, guess, [])
        if not reached or not arm.wrap_joint_limit(found):
            return None
        place = start.copy()
        place[arm.move_group_joint_indices] = found[arm.move_group_joint_indices]
        return place if goal.distance(self._hand(place)) < _TOLERANCE else None

    def _timed(self, start: Floats, places: list[Floats]) -> dict[str, Any]:
        path = np.array([start, *places])[:, self._arm.move_group_joint_indices]
        if np.abs(path - path[0]).max() < 1e-4:  # nothing that could be timed
            stand = np.repeat(path[-1:], _STAND, axis=0)
            return {"status": "Success", "position": stand, "velocity": np.zeros_like(stand)}
        try:
            _, position, velocity, _, _ = self._arm.TOPP(path, _PHYSICS_S * _SPEED)
        except RuntimeError:
            return {"status": "Failure"}
        return {"status": "Success", "position": position, "velocity": velocity * _SPEED}


def plan_with_mplib(robots: Any) -> None:
    """Robots of RoboTwin plan with `Paths` from here on. `robots`: its module envs.robot.robot."""

    def set_planner(robot: Any, scene: Any = None) -> None:
        robot.communication_flag = False  # no planner in a process of its own
        for arm in ("left", "right"):
            about = ("urdf_path", "srdf_path", "move_group", "entity_origion_pose", "entity", "planner_type")
            planner = robots.MplibPlanner(*(getattr(robot, f"{arm}_{name}") for name in about), scene)
            setattr(robot, f"{arm}_mplib_planner", planner)  # which times the qpos actions
            setattr(robot, f"{arm}_planner", Paths(planner, getattr(robot, f"{arm}_delta_matrix")[:, 0]))

    robots.Robot.set_planner = set_planner
