"""The firmware's set-point generator for one joint: limited speed and acceleration towards a target. Pure."""

from __future__ import annotations

from math import sqrt

BRAKE_FACTOR = 4.0  # braking against acceleration: a servo stops harder than it starts [assumption]


def approach(
    q_rad: float, v_rad_s: float, target_rad: float, speed_rad_s: float, acceleration: float, dt_s: float
) -> tuple[float, float]:
    """Position and speed one tick later; lands on the target exactly and does not pass it.

    Speeds up with `acceleration` [rad/s^2], brakes with BRAKE_FACTOR times as much: it may run at any speed
    from which it still stops at the target. A target moving at v is therefore followed v^2 / (2 x braking)
    behind.
    """
    if q_rad == target_rad and v_rad_s == 0:
        return q_rad, 0.0
    distance = target_rad - q_rad
    sign = 1.0 if distance >= 0 else -1.0
    brake_step = BRAKE_FACTOR * acceleration * dt_s
    if brake_step <= 0:
        return q_rad, 0.0
    wanted = sign * min(speed_rad_s, _stoppable(abs(distance) / dt_s, brake_step))
    towards_zero = wanted * v_rad_s < 0 or abs(wanted) < abs(v_rad_s)
    step = brake_step if towards_zero else acceleration * dt_s
    v = min(max(wanted, v_rad_s - step), v_rad_s + step)
    if v == wanted and abs(distance) <= abs(v) * dt_s:
        return target_rad, v
    return q_rad + v * dt_s, v


def _stoppable(distance: float, step: float) -> float:
    """Largest speed, moved by this tick, from which slowing by `step` a tick ends exactly `distance` away
    (in speed x ticks): n whole steps and a rest, with n(n+1)/2 <= distance/step."""
    steps = distance / step
    n = int((sqrt(1 + 8 * steps) - 1) / 2)
    return step * (n / 2 + steps / (n + 1))
