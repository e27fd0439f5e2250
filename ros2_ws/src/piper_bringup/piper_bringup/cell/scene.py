"""The whole cell as MJCF text: table, two arms, head camera, lights, and the objects of a task."""

from __future__ import annotations

import numpy as np

from piper_bringup.cell import piper_mjcf
from piper_bringup.data.names import ARMS

TIMESTEP_NS = 2_500_000  # two physics steps a 200 Hz tick

# Bases on the table, facing +y; both arms reach the middle of the table (|x| <= 0.1, y about 0.1).
BASE_XY_M = {"left": (-0.3, -0.2), "right": (0.3, -0.2)}

# Head camera: above the far edge of the table, looking back at both arms, as a person opposite them would.
HEAD_POSITION_M, HEAD_TARGET_M = (0.0, 0.80, 0.74), (0.0, -0.05, 0.13)
FOVY_DEG = {"head": 41.0, **{f"{arm}_wrist": piper_mjcf.WRIST_FOVY_DEG for arm in ARMS}}

_SETTINGS = f"""
<compiler angle="radian" autolimits="true" eulerseq="XYZ"/>
<option timestep="{TIMESTEP_NS * 1e-9}" integrator="implicitfast" cone="elliptic" impratio="10">
  <flag autoreset="disable"/>
</option>
<statistic extent="1.5" center="0 0 .2"/>
<visual>
  <global offwidth="640" offheight="480"/>
  <quality shadowsize="0" offsamples="0" numquads="1" numslices="18" numstacks="8"/>
  <headlight ambient=".34 .34 .36" diffuse=".26 .26 .26" specular=".05 .05 .05"/>
  <map znear=".008" zfar="6"/>
</visual>
<default>
  <geom mass="0" solref=".008 1"/>
  <default class="arm">
    <joint type="hinge" axis="0 0 1" armature=".02" damping="1" actuatorgravcomp="true"
      solreffriction=".005 1" solimpfriction=".9999 .9999 .001"/>
  </default>
  <default class="finger">
    <joint type="slide" range="0 {piper_mjcf.FINGER_MAX_M}" armature=".05" damping="10"/>
  </default>
  <default class="shell"><geom condim="3" friction=".6"/></default>
  <default class="trim"><geom contype="0" conaffinity="0"/></default>
  <default class="pad">
    <geom type="box" material="rubber" condim="4" friction="1.5 .02" solimp=".95 .99 .001"/>
  </default>
</default>
<asset>
  <texture name="mat" type="2d" builtin="checker" rgb1=".40 .45 .50" rgb2=".37 .42 .47" width="128" height="128"/>
  <material name="table" rgba=".68 .56 .43 1" specular=".1" shininess=".2"/>
  <material name="mat" texture="mat" texrepeat="9 5" specular=".05"/>
  <material name="floor" rgba=".55 .56 .58 1" specular="0"/>
  <material name="wall" rgba=".78 .81 .85 1" specular="0" emission=".1"/>
  <material name="light" rgba=".76 .77 .79 1" specular=".4" shininess=".5"/>
  <material name="dark" rgba=".13 .14 .16 1" specular=".5" shininess=".6"/>
  <material name="rubber" rgba=".22 .23 .25 1" specular=".1"/>
</asset>"""

_TABLE = """
<light pos="-.8 1.2 1.8" dir=".4 -.6 -.9" directional="true" diffuse=".55 .53 .5" specular=".25 .25 .25"/>
<light pos="1.2 .2 1.6" dir="-.6 -.1 -.8" directional="true" diffuse=".28 .3 .34" specular=".1 .1 .1"/>
<geom name="floor" type="plane" pos="0 0 -.75" size="3 3 .1" material="floor"/>
<geom class="trim" type="plane" pos="0 -3 1.25" size="3 2 .1" zaxis="0 1 0" material="wall"/>
<geom class="trim" type="plane" pos="0 3 1.25" size="3 2 .1" zaxis="0 -1 0" material="wall"/>
<geom class="trim" type="plane" pos="-3 0 1.25" size="2 3 .1" zaxis="1 0 0" material="wall"/>
<geom class="trim" type="plane" pos="3 0 1.25" size="2 3 .1" zaxis="-1 0 0" material="wall"/>
<geom class="trim" type="plane" pos="0 0 3.25" size="3 3 .1" zaxis="0 0 -1" material="wall"/>
<geom name="table" type="box" pos="0 -.06 -.02" size=".75 .42 .02" material="table" friction=".8"/>
<geom class="trim" type="box" pos="0 .1 -.0005" size=".36 .2 .001" material="mat"/>
<geom class="trim" type="box" pos="0 -.06 -.055" size=".7 .37 .015" material="dark"/>"""


def _head_camera() -> str:
    (x, y, z), (tx, ty, tz) = HEAD_POSITION_M, HEAD_TARGET_M
    forward = np.array((tx - x, ty - y, tz - z))
    right = np.cross(forward, (0.0, 0.0, 1.0))
    up = np.cross(right, forward)
    axes = " ".join(f"{value:.6f}" for value in (*right / np.linalg.norm(right), *up / np.linalg.norm(up)))
    return f'<camera name="head" pos="{x} {y} {z}" xyaxes="{axes}" fovy="{FOVY_DEG["head"]}"/>'


def scene(objects: str) -> str:
    """MJCF text of the cell with `objects` (MJCF bodies of the task) on the table."""
    arms = "".join(piper_mjcf.body(arm, *BASE_XY_M[arm]) for arm in ARMS)
    exclusions = "".join(piper_mjcf.exclusions(arm) for arm in ARMS)
    actuators = "\n".join(piper_mjcf.actuators(arm) for arm in ARMS)
    tendons, equalities = zip(*(piper_mjcf.coupling(arm) for arm in ARMS), strict=True)
    return f"""<mujoco model="dual_piper_cell">{_SETTINGS}
<worldbody>{_TABLE}
{_head_camera()}{arms}{objects}
</worldbody>
<contact>{exclusions}
</contact>
<tendon>{"".join(tendons)}
</tendon>
<equality>{"".join(equalities)}
</equality>
<actuator>
{actuators}
</actuator>
</mujoco>"""
