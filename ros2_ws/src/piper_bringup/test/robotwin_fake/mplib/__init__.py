"""mplib with one arm in it: a tower that turns, reaches out and goes up and down, and a hand that turns on it.

Joints: fingers, then turn of the tower, reach beyond 0.3 m, height, turn of the hand, and two that move nothing.
"""

import numpy as np

LOW = np.array([0.0, -2.0, 0.0, 0.0, -2.0, -1.0, -1.0])
HIGH = np.array([0.04, 2.0, 0.4, 0.5, 2.0, 1.0, 1.0])


class Pose:
    """p (3,) m, q (4,) wxyz; `*` goes on from the left one, `inv` is the way back."""

    def __init__(self, p=(0, 0, 0), q=(1, 0, 0, 0)):
        self.p, self.q = np.array(p, float), np.array(q, float)

    def _turned(self, v):
        w, u = self.q[0], self.q[1:]
        return v + 2 * np.cross(u, np.cross(u, v) + w * v)

    def __mul__(self, other):
        (a, u), (b, v) = (self.q[0], self.q[1:]), (other.q[0], other.q[1:])
        return Pose(self.p + self._turned(other.p), [a * b - u @ v, *(a * v + b * u + np.cross(u, v))])

    def inv(self):
        back = Pose((0, 0, 0), self.q * [1, -1, -1, -1])
        return Pose(-back._turned(self.p), back.q)

    def distance(self, other):
        return np.linalg.norm(self.p - other.p) + min(np.linalg.norm(self.q - s * other.q) for s in (1, -1))


class Model:
    """Kinematics. The hand's x axis lies in the plane of the table, its z axis points up."""

    def compute_forward_kinematics(self, q):
        _, tower, reach, height, turn, _, _ = q
        out = 0.3 + reach
        self.hand = Pose(
            [out * np.cos(tower), out * np.sin(tower), height],
            [np.cos((tower + turn) / 2), 0, 0, np.sin((tower + turn) / 2)],
        )

    def get_link_pose(self, index):
        assert index == 6
        return self.hand

    def compute_IK_CLIK(self, index, goal, guess, mask):
        """Knows no limits, as mplib's; never reaches a hand that is tilted."""
        tower = np.arctan2(goal.p[1], goal.p[0])
        yaw = 2 * np.arctan2(goal.q[3], goal.q[0])
        turn = (yaw - tower + np.pi) % (2 * np.pi) - np.pi
        found = np.array([guess[0], tower, np.hypot(*goal.p[:2]) - 0.3, goal.p[2], turn, *np.array(guess)[5:]])
        return found, bool(np.abs(goal.q[1:3]).max() < 1e-9), 0.0


class Articulation:
    """Where it stands."""

    def __init__(self, base):
        self.base = base

    def get_base_pose(self):
        return Pose(self.base.p, self.base.q)


class Planner:
    """What is asked of it."""

    def __init__(self, base):
        self.robot, self.pinocchio_model = Articulation(base), Model()
        self.joint_limits = np.column_stack([LOW, HIGH])
        self.move_group_joint_indices, self.move_group_link_id = [1, 2, 3, 4, 5, 6], 6

    def wrap_joint_limit(self, q):
        return bool((q >= LOW - 1e-3).all() and (q <= HIGH + 1e-3).all())  # fingers too

    def TOPP(self, path, step=0.1, verbose=False):
        """At 1 rad/s throughout."""
        ends = np.r_[0.0, np.cumsum(np.abs(np.diff(path, axis=0)).max(axis=1))]
        if ends[-1] > 3.0:
            raise RuntimeError("Fail to parameterize path")
        at = np.linspace(0.0, ends[-1], int(ends[-1] / step))
        position = np.column_stack([np.interp(at, ends, column) for column in path.T])
        return at, position, np.gradient(position, at, axis=0), None, ends[-1]
