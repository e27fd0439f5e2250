"""The physics of the cell: two arms driven by their firmware, the objects of one task, its goals.

No threads and no clock of its own; equal seeds and equal drives give bit-identical states.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from piper_bringup.can.drive import Drive, PlantState, Power
from piper_bringup.cell import props, tasks
from piper_bringup.cell.arm_model import ArmModel
from piper_bringup.cell.scene import TIMESTEP_NS, scene
from piper_bringup.cell.spawning import Variation, place_distractors, vary
from piper_bringup.cell.task import Difficulty, Kind, Progress, Start, Thing, rotation
from piper_bringup.data.names import ARMS, REST_RAD

Array = NDArray[np.float64]

SLOTS = 4
SLOT_FIELDS = (
    "valid",
    *("x", "y", "z"),  # [m], world frame
    *(f"r{i}" for i in range(6)),  # first two columns of the rotation matrix, one after the other
    *("size_x", "size_y", "size_z"),  # [m], outer box
    "articulation",  # opening of a drawer or lid, 0 for a rigid body
)

LOOK_NS = 20_000_000  # goals are looked at this often: every 5 ms they cost as much as the physics

# Where things wait that an episode does without: on the floor under the table, which hides them from every camera.
_AWAY_M = (0.5, -0.05, -0.6)

_AT_REST = Drive(np.array(REST_RAD), np.full(6, int(Power.OFF)), 0.0, 1.0, False)


class PhysicsError(RuntimeError):
    """MuJoCo reported a bad state: the episode is worthless from here on."""


@dataclass(frozen=True)
class WorldState:
    """Everything that `World.restore` needs to go on from the same instant of the same task."""

    physics: Array
    t_ns: int
    drives: dict[str, Drive]
    progress: Progress
    start: Start
    variation: Variation


class World:
    """The cell with the objects of `task`, at the start of the episode that `seed` stands for.

    Raises ValueError for a task that does not exist, naming those that do.
    """

    def __init__(self, task: str = "lift_bar", seed: int = 0, difficulty: Difficulty | None = None) -> None:
        self.task = tasks.find(task)
        self.difficulty = difficulty or Difficulty()
        extra = self.difficulty.distractors
        # Warnings are raised by `step`; MuJoCo's own handler would write MUJOCO_LOG.TXT where the program stands.
        mujoco.set_mju_user_warning(lambda text: None)
        self.model = mujoco.MjModel.from_xml_string(scene(self.task.mjcf + props.distractors(extra)))
        self._data = mujoco.MjData(self.model)
        self._arms = {arm: ArmModel(self.model, arm) for arm in ARMS}
        self._things = {thing.name: thing for thing in (*self.task.things, *props.DISTRACTORS[:extra])}
        self._body = {name: self.model.body(name).id for name in self._things}
        self._joint = {n: self.model.joint(n) for n, thing in self._things.items() if thing.kind != Kind.FIXED}
        self._as_built = Variation.of(self.model)
        self._pads = {arm: [self.model.geom(f"{arm}_finger{i}_pad").id for i in (1, 2)] for arm in ARMS}
        self._tool = {
            arm: {self.model.body(f"{arm}_{part}").id for part in ("gripper", "finger1", "finger2")} for arm in ARMS
        }
        self._warnings = self._data.warning.number
        self.reset(seed)

    @property
    def t_ns(self) -> int:
        """Simulated time since the last reset."""
        return self._t_ns

    def reset(self, seed: int) -> None:
        """Arms folded and without power, objects where `seed` puts them, time zero."""
        mujoco.mj_resetData(self.model, self._data)
        self._t_ns = 0
        self._drives = dict.fromkeys(ARMS, _AT_REST)
        for model in self._arms.values():
            self._data.qpos[model.qpos] = REST_RAD
            model.apply(self._data, _AT_REST)
        self.respawn(seed)

    def respawn(self, seed: int) -> None:
        """Objects where `seed` puts them and goals from the beginning; arms and time go on."""
        rng = np.random.default_rng(seed)
        self.start = self.task.spawn(rng, self.difficulty)
        scattered = place_distractors(self.start, self.task.things, self.difficulty.distractors, rng)
        self._as_built.apply(self.model)
        self._variation = vary(self.model, self._as_built, [*self._body.values()], self.difficulty, rng)
        self._variation.apply(self.model)
        for i, (name, thing) in enumerate(self._things.items()):
            self._put(thing, {**self.start.poses, **scattered}.get(name), i)
        self._progress = Progress()
        mujoco.mj_forward(self.model, self._data)

    def clear(self) -> None:
        """Loose objects, held or not, to where they wait until the next `respawn`; arms, time and goals stay."""
        for i, thing in enumerate(self._things.values()):
            if thing.kind == Kind.FREE:
                self._put(thing, None, i)
        mujoco.mj_forward(self.model, self._data)

    def _put(self, thing: Thing, pose: Array | None, place: int) -> None:
        """Where the episode begins; a thing without a pose goes to the waiting place number `place`."""
        pose = np.array((*_AWAY_M, 1.0, 0.0, 0.0, 0.0)) - (0.2 * place, 0, 0, 0, 0, 0, 0) if pose is None else pose
        if thing.kind == Kind.FIXED:
            mocap = self.model.body_mocapid[self._body[thing.name]]
            self._data.mocap_pos[mocap], self._data.mocap_quat[mocap] = pose[:3], pose[3:]
            return
        qpos, dof = self._joint[thing.name].qposadr[0], self._joint[thing.name].dofadr[0]
        if thing.kind == Kind.FREE:
            self._data.qpos[qpos : qpos + 7] = pose
            self._data.qvel[dof : dof + 6] = 0.0
        else:
            self._data.qpos[qpos], self._data.qvel[dof] = self.start.openings.get(thing.name, 0.0), 0.0

    def adopt(self, other: World) -> None:
        """Take over the arms of `other`, as they stand and are driven there, and its time; objects stay."""
        for arm, model in self._arms.items():
            model.copy_state(self._data, other._arms[arm], other._data)
            self.drive(arm, other._drives[arm])
        self._t_ns = other._t_ns
        mujoco.mj_forward(self.model, self._data)

    def drive(self, arm: str, drive: Drive) -> None:
        """What the firmware of `arm` asks of its joints from the next step on; ValueError if it is not finite."""
        self._arms[arm].apply(self._data, drive)
        self._drives[arm] = drive

    def step(self, dt_s: float) -> None:
        """Advance physics by `dt_s`, a multiple of 2.5 ms; raises PhysicsError when MuJoCo warns."""
        steps = round(dt_s * 1e9 / TIMESTEP_NS)
        if steps < 1 or abs(steps * TIMESTEP_NS - dt_s * 1e9) > 1.0:
            raise ValueError(f"dt_s is {dt_s}, it has to be a multiple of {TIMESTEP_NS * 1e-9} s")
        before_ns = self._t_ns
        mujoco.mj_step(self.model, self._data, nstep=steps)
        self._t_ns += steps * TIMESTEP_NS
        if self._warnings.any() or not np.isfinite(self._data.qacc).all():
            self._raise_warning()
        if looks := self._t_ns // LOOK_NS - before_ns // LOOK_NS:
            self._progress = self._progress.after(self.task, self, looks * LOOK_NS * 1e-9)

    def arm_state(self, arm: str) -> PlantState:
        """What the joints of `arm` do now."""
        return self._arms[arm].state(self._data)

    def positions(self) -> Array:
        """Copy of all that is needed to draw this instant: qpos (nq,), then position and quaternion of each mocap."""
        return np.concatenate([self._data.qpos, self._data.mocap_pos.ravel(), self._data.mocap_quat.ravel()])

    def pose(self, name: str) -> Array:
        """Ground truth: pose (7,) of a thing, metres and quaternion w x y z, world frame."""
        if self._things[name].kind == Kind.FREE:
            first = self._joint[name].qposadr[0]
            return self._data.qpos[first : first + 7].copy()
        body = self._body[name]
        return np.concatenate([self._data.xpos[body], self._data.xquat[body]])

    def opening(self, name: str) -> float:
        """How far a slide is from its zero [m]."""
        return float(self._data.qpos[self._joint[name].qposadr[0]])

    def is_here(self, name: str) -> bool:
        """Whether the thing takes part in this episode."""
        return name in self.start.poses or self._things[name].kind == Kind.SLIDE

    def start_pose(self, name: str) -> Array:
        """Pose (7,) of an object at the start of the episode."""
        return self.start.poses[name].copy()

    def slots(self) -> Array:
        """Ground truth as a policy takes it: (SLOTS, len(SLOT_FIELDS)), one row an object, empty rows zero."""
        table = np.zeros((SLOTS, len(SLOT_FIELDS)))
        here = [thing for thing in self.task.things if self.is_here(thing.name)]
        for row, thing in zip(table, here, strict=False):
            pose, opening = self.pose(thing.name), self.opening(thing.name) if thing.kind == Kind.SLIDE else 0.0
            row[:] = (1.0, *pose[:3], *rotation(pose[3:])[:, :2].T.ravel(), *thing.size_m, opening)
        return table

    def speed(self, name: str) -> float:
        """Speed [m/s] of a free object plus its turning [rad/s] at a lever of 0.1 m."""
        first = self._joint[name].dofadr[0]
        velocity = self._data.qvel[first : first + 6]
        return float(np.linalg.norm(velocity[:3]) + 0.1 * np.linalg.norm(velocity[3:]))

    def grasped(self, arm: str, name: str) -> bool:
        """Both pads of `arm` press on the object."""
        touched = self._touched_by(self._body[name])
        return all(pad in touched for pad in self._pads[arm])

    def touches(self, arm: str, name: str) -> bool:
        """Any part of the gripper of `arm` is in contact with the object."""
        bodies = {int(self.model.geom_bodyid[geom]) for geom in self._touched_by(self._body[name])}
        return bool(bodies & self._tool[arm])

    def contacts(self) -> list[tuple[str, str]]:
        """Names of the bodies in contact now, one pair a contact."""
        pairs = self.model.geom_bodyid[self._data.contact.geom]
        return [(self.model.body(a).name, self.model.body(b).name) for a, b in pairs]

    def goals_reached(self) -> tuple[str, ...]:
        """Names of the goals of the task reached so far, in order."""
        return tuple(goal.name for goal in self.task.goals[: self._progress.reached])

    def success(self) -> bool:
        """All goals of the task were reached in this episode."""
        return self._progress.reached == len(self.task.goals)

    def state(self) -> WorldState:
        """The whole state, for `restore`."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        physics = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self._data, physics, kind)
        return WorldState(physics, self._t_ns, dict(self._drives), self._progress, self.start, self._variation)

    def restore(self, state: WorldState) -> None:
        """Go on from `state`, taken from a World of the same task; bit-identical from there."""
        for arm in ARMS:
            self.drive(arm, state.drives[arm])
        mujoco.mj_setState(self.model, self._data, state.physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        self._t_ns, self._progress = state.t_ns, state.progress
        self.start, self._variation = state.start, state.variation
        self._variation.apply(self.model)
        mujoco.mj_forward(self.model, self._data)

    def _touched_by(self, body: int) -> set[int]:
        """Geoms in contact with any geom of `body`."""
        geoms = self._data.contact.geom
        bodies = self.model.geom_bodyid[geoms]
        return {*geoms[bodies[:, 1] == body, 0].tolist(), *geoms[bodies[:, 0] == body, 1].tolist()}

    def _raise_warning(self) -> None:
        kinds = [mujoco.mjtWarning(i).name.removeprefix("mjWARN_") for i in np.flatnonzero(self._warnings)]
        raise PhysicsError(
            f"physics of {self.task.name} broke at {self._t_ns * 1e-9:.4f} s: MuJoCo warned "
            f"{', '.join(kinds) or 'nothing but an acceleration is not finite'}; reset the episode"
        )
