"""One PiPER as MJCF text: primitives only, from the published kinematics and masses.

Joint frames are those of `kinematics.py`; masses are the ones AgileX publishes in its URDF (base 1.02 kg, then 0.71,
1.16, 0.5, 0.38, 0.383, 0.007, gripper 0.45, fingers 0.025 each). Shapes are ours: capsules and boxes of about the
real outline, slim enough that the folded arm touches nothing.
"""

from __future__ import annotations

import numpy as np

from piper_bringup.cell import kinematics
from piper_bringup.data.names import ARM_JOINTS, GRIPPER_MAX_M, JOINT_LOWER_RAD, JOINT_UPPER_RAD

FINGER_MAX_M = GRIPPER_MAX_M / 2  # each finger; the opening is the sum of both

# Position loop of each joint: stiffness [Nm/rad], damping [Nm s/rad], torque limit [Nm].
SERVO_KP = (480.0, 600.0, 480.0, 240.0, 160.0, 160.0)
SERVO_KV = (24.0, 30.0, 24.0, 8.0, 6.0, 4.0)
SERVO_TORQUE_NM = (50.0, 60.0, 50.0, 25.0, 20.0, 20.0)
WRIST_FOVY_DEG = 70.0
GRIPPER_KP, GRIPPER_KV, GRIPPER_FORCE_N = 3000.0, 60.0, 50.0

# What each link looks like, in its own frame. "shell" collides, "trim" is only seen; one shape carries the mass.
_BASE = """
<geom class="shell" type="box" pos="0 0 .012" size=".075 .062 .012" material="dark"/>
<geom class="shell" type="cylinder" pos="0 0 .046" size=".052 .022" material="light" mass="1.02"/>
<geom class="shell" type="box" pos="-.058 0 .042" size=".022 .034 .018" material="light"/>"""
_LINKS = (
    """
<geom class="shell" type="cylinder" pos="0 0 -.038" size=".047 .015" material="dark"/>
<geom class="shell" type="cylinder" fromto="0 -.048 0 0 .048 0" size=".04" material="light" mass=".71"/>
<geom class="trim" type="cylinder" fromto="0 -.052 0 0 .052 0" size=".03" material="dark"/>""",
    """
<geom class="shell" type="capsule" fromto=".055 0 0 .235 0 0" size=".03" material="light" mass="1.16"/>
<geom class="shell" type="cylinder" fromto=".28503 0 -.045 .28503 0 .045" size=".036" material="light"/>
<geom class="trim" type="cylinder" fromto=".28503 0 -.049 .28503 0 .049" size=".027" material="dark"/>
<geom class="trim" type="box" pos=".145 0 0" size=".045 .0315 .012" material="dark"/>""",
    """
<geom class="shell" type="capsule" fromto="-.015 -.05 0 -.02198 -.15 0" size=".027" material="light" mass=".5"/>
<geom class="trim" type="cylinder" fromto="-.0212 -.128 0 -.0215 -.134 0" size=".0295" material="dark"/>""",
    """
<geom class="shell" type="cylinder" fromto="0 0 -.07 0 0 -.035" size=".026" material="light" mass=".38"/>
<geom class="shell" type="cylinder" fromto="0 -.034 0 0 .034 0" size=".028" material="light"/>
<geom class="trim" type="cylinder" fromto="0 -.038 0 0 .038 0" size=".021" material="dark"/>""",
    """
<geom class="shell" type="capsule" fromto="0 -.02 0 0 -.05 0" size=".026" material="light" mass=".383"/>
<geom class="trim" type="cylinder" fromto="0 -.068 0 0 -.078 0" size=".027" material="dark"/>""",
    """
<geom class="trim" type="cylinder" fromto="0 0 -.012 0 0 .006" size=".03" material="dark" mass=".007"/>""",
)
_GRIPPER = """
<geom class="shell" type="box" pos="0 0 .032" size=".026 .034 .026" material="light" mass=".45"/>
<geom class="shell" type="box" pos="0 0 .063" size=".017 .068 .007" material="dark"/>"""
_CAMERA_BODY = """
<geom class="trim" type="box" pos="-.046 0 .012" size=".022 .008 .004" material="dark"/>
<geom class="trim" type="box" pos="-.075 0 .013" size=".01 .03 .009" euler="0 .349 0" material="dark"/>"""


def _vector(values) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def _joint_frame(i: int) -> str:
    """Placement of frame i in its parent: Rx(alpha) Tx(a) Rz(theta0) Tz(d) of the modified DH table."""
    alpha, theta0 = kinematics.DH_ALPHA_RAD[i], kinematics.DH_THETA0_RAD[i]
    a, d = kinematics.DH_A_M[i], kinematics.DH_D_M[i]
    half_a, half_t = alpha / 2, theta0 / 2
    quat = (
        np.cos(half_a) * np.cos(half_t),
        np.sin(half_a) * np.cos(half_t),
        -np.sin(half_a) * np.sin(half_t),
        np.cos(half_a) * np.sin(half_t),
    )
    position = (a, -np.sin(alpha) * d, np.cos(alpha) * d)
    return f'pos="{_vector(position)}" quat="{_vector(quat)}"'


def _finger(arm: str, name: str, side: int) -> str:
    """A finger that moves `side` along y; its pad face lies in the plane y = 0 when closed."""
    base = kinematics.FINGERTIP_M
    return f"""
<body name="{arm}_{name}" pos="0 0 {base}">
  <joint name="{arm}_{name}" class="finger" axis="0 {side} 0"/>
  <geom class="shell" type="box" pos="0 {side * 0.0145} -.0525" size=".012 .0085 .0125" material="dark"/>
  <geom class="pad" name="{arm}_{name}_pad" pos="0 {side * 0.004} -.02" size=".011 .004 .02" mass=".025"/>
  <geom class="trim" type="box" pos="0 {side * 0.0105} -.022" size=".008 .003 .022" material="light"/>
</body>"""


def _chain(arm: str, i: int) -> str:
    """Bodies of link i+1 and everything beyond it."""
    low, high, torque = JOINT_LOWER_RAD[i], JOINT_UPPER_RAD[i], SERVO_TORQUE_NM[i]
    limits = f'range="{low} {high}" actuatorfrcrange="-{torque} {torque}"'
    beyond = _tool(arm) if i == 5 else _chain(arm, i + 1)
    return f"""
<body name="{arm}_link{i + 1}" {_joint_frame(i)} gravcomp="1">
  <joint name="{arm}_{ARM_JOINTS[i]}" class="arm" {limits}/>{_LINKS[i]}{beyond}
</body>"""


def _tool(arm: str) -> str:
    """Gripper, fingers and wrist camera, fixed to link 6. The camera looks between the jaws, tilted by 20 degrees."""
    sin, cos = np.sin(np.deg2rad(20)), np.cos(np.deg2rad(20))
    axes = _vector((0, -1, 0, -cos, 0, sin))
    return f"""
<body name="{arm}_gripper" gravcomp="1">{_GRIPPER}{_CAMERA_BODY}
  <camera name="{arm}_wrist" pos="-.075 0 .02" xyaxes="{axes}" fovy="{WRIST_FOVY_DEG}"/>
  {_finger(arm, "finger1", 1)}{_finger(arm, "finger2", -1)}
</body>"""


def body(arm: str, x_m: float, y_m: float) -> str:
    """The arm `arm` ("left" or "right"), base on the table at (x, y), facing +y."""
    return f"""
<body name="{arm}_base" pos="{x_m} {y_m} 0" quat=".70710678118654752 0 0 .70710678118654752">{_BASE}{_chain(arm, 0)}
</body>"""


def exclusions(arm: str) -> str:
    """Contact pairs left out: neighbours in the chain whose shells overlap at the joint by construction.

    MuJoCo leaves out parent and child itself, except below a fixed body (base and link 1) and across the fixed
    gripper body. Closed fingers touch each other by construction.
    """
    pairs = (("base", "link1"), ("link5", "gripper"), ("finger1", "finger2"))
    return "".join(f'\n<exclude body1="{arm}_{a}" body2="{arm}_{b}"/>' for a, b in pairs)


def actuators(arm: str) -> str:
    """Six position servos and one for the opening of the gripper [m], in the order of `names.JOINTS`."""
    lines = [
        f'<position name="{arm}_{joint}" joint="{arm}_{joint}" kp="{kp}" kv="{kv}"/>'
        for joint, kp, kv in zip(ARM_JOINTS, SERVO_KP, SERVO_KV, strict=True)
    ]
    lines.append(
        f'<position name="{arm}_gripper" tendon="{arm}_gripper" kp="{GRIPPER_KP}" kv="{GRIPPER_KV}"'
        f' forcerange="-{GRIPPER_FORCE_N} {GRIPPER_FORCE_N}"/>'
    )
    return "\n".join(lines)


def coupling(arm: str) -> tuple[str, str]:
    """Tendon (the opening: sum of both fingers) and equality (both fingers move alike) as MJCF text."""
    tendon = f"""
<fixed name="{arm}_gripper"><joint joint="{arm}_finger1" coef="1"/><joint joint="{arm}_finger2" coef="1"/></fixed>"""
    equality = f'\n<joint joint1="{arm}_finger1" joint2="{arm}_finger2" solref=".004 1"/>'
    return tendon, equality
