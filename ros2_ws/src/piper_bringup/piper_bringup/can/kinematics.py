"""Forward kinematics of the PiPER from its published modified DH parameters (SIMULATION §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from math import asin, atan2, cos, pi, radians, sin

_A_M = (0.0, 0.0, 0.28503, -0.02198, 0.0, 0.0)
_ALPHA = (0.0, -pi / 2, 0.0, pi / 2, -pi / 2, pi / 2)
_D_M = (0.123, 0.0, 0.0, 0.25075, 0.0, 0.091)
_THETA0 = tuple(map(radians, (0.0, -172.22, -102.78, 0.0, 0.0, 0.0)))
_THETA0_OLD = tuple(map(radians, (0.0, -174.22, -100.78, 0.0, 0.0, 0.0)))  # arms before S-V1.6-3
_ALPHAS = tuple((cos(alpha), sin(alpha)) for alpha in _ALPHA)


def flange_pose(
    q_rad: Sequence[float], old_zero: bool = False
) -> tuple[float, float, float, float, float, float]:
    """Pose of the flange in the arm's base: x, y, z [m], then roll, pitch, yaw [rad] (fixed axes x, y, z).

    `q_rad` has six values; `old_zero` takes the zero of arms built before firmware S-V1.6-3.
    """
    rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    x = y = z = 0.0
    theta0 = _THETA0_OLD if old_zero else _THETA0
    for q, offset, a, d, (ca, sa) in zip(q_rad, theta0, _A_M, _D_M, _ALPHAS, strict=True):
        c, s = cos(q + offset), sin(q + offset)
        px, py, pz = a, -sa * d, ca * d
        (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = rotation
        x, y, z = (
            x + r00 * px + r01 * py + r02 * pz,
            y + r10 * px + r11 * py + r12 * pz,
            z + r20 * px + r21 * py + r22 * pz,
        )
        m00, m01, m10, m11, m12, m20, m21, m22 = c, -s, s * ca, c * ca, -sa, s * sa, c * sa, ca
        rotation = tuple(
            (u * m00 + v * m10 + w * m20, u * m01 + v * m11 + w * m21, v * m12 + w * m22)
            for u, v, w in rotation
        )
    return (x, y, z, *_roll_pitch_yaw(rotation))


def _roll_pitch_yaw(rotation: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    (r00, r01, _), (r10, r11, _), (r20, r21, r22) = rotation
    if abs(r20) > 0.9999:  # pointing straight up or down: yaw is free, taken as 0
        roll = atan2(r01, r11) if r20 < 0 else -atan2(r01, r11)
        return roll, -pi / 2 if r20 > 0 else pi / 2, 0.0
    return atan2(r21, r22), asin(-r20), atan2(r10, r00)
