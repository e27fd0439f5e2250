"""Flies a run: waits until it may go on, looks when an observation is due, sends what the policy answers. No ROS.

One thread calls `step`, over and over; any thread may `ask` for a run, whose `Run` it then watches. The arms are
commanded while a run goes on, and no longer (S27).
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from piper_bringup.arm.clock import Clock
from piper_bringup.data import names, robotwin, topics
from piper_bringup.data.joints import stamp_ns
from piper_bringup.data.observation import Observation, Stale
from smp_msgs.msg import EpisodeEvent
from smp_policy.run import session as sessions
from smp_policy.run.chunk import Latency
from smp_policy.run.contract import ContractError
from smp_policy.run.due import Due
from smp_policy.run.following import Following
from smp_policy.run.inference import Inference
from smp_policy.run.jumps import Jumps
from smp_policy.run.policy import Floats, Policy
from smp_policy.run.runs import Link, Run, Told
from smp_policy.run.senses import Senses
from smp_policy.run.session import Ending, Level, Session, Trouble, Why
from smp_policy.run.settings import Settings

DISCOVERY_NS = 1_000_000_000  # for the driver to find a new publisher


class Pilot:
    """One model, one run at a time."""

    def __init__(
        self, policy: Policy, settings: Settings, link: Link, clock: Clock, first_ns: int, lockstep: bool = False
    ) -> None:
        """first_ns: what a chunk is expected to take before one was measured.

        lockstep: RoboTwin's clock stands still while a chunk is computed, and its arms stand where they are observed.
        """
        self._lockstep, self._jumps = lockstep, Jumps()
        self.settings, self.senses = settings, Senses(policy.contract, settings, drawn=lockstep)
        self.session = Session(link.say, round(settings.timeouts__driver_s * 1e9))
        self.latency = Latency(first_ns)
        self._policy, self._link, self.clock = policy, link, clock
        self._inference = Inference(policy, self.senses, clock, settings.timeouts__chunk_age_s)
        self._following = Following(self.senses, settings)
        self._due = Due(settings.period_ns)
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._clear()

    def _clear(self) -> None:
        self._began = False  # whether `step` has seen the run
        self._asked = False  # whether the policy was asked for a chunk
        self._open_ns = 0  # since when we are a publisher of chunks; 0: we are not
        self._judged: Ending | None = None  # by somebody else
        self._executed: Floats | None = None  # actions of the newest chunk, in lockstep
        self._due.begin()
        self._following.begin()

    # --- from any thread ------------------------------------------------------------------------------------

    def ask(self, task: str, limit_s: float = 0.0) -> Run:
        """A run of `task`, at most `limit_s` long. Where it cannot be, it has ended already."""
        run = Run(task, limit_s, self.clock.mono_ns(), self.clock.wall_ns())
        if (why := self._unknown(task)) is not None:
            run.ending = Ending(Why.TASK_UNKNOWN, topics.UNKNOWN, why)
            return run
        with self._lock:
            if self._run is not None:
                text = f"a run of {self._run.task} goes on; cancel it first"
                run.ending = Ending(Why.BUSY, topics.UNKNOWN, text)
            else:
                self._run = run
        return run

    @property
    def run(self) -> Run | None:
        """The run that goes on."""
        return self._run

    def ahead_ns(self) -> int:
        """Planned motion still ahead of the arms."""
        return self._following.schedule.ahead_ns(self.clock.mono_ns())

    def watch(self) -> None:
        """Say that an inference takes too long, from another thread than the one that waits for it."""
        since_ns, now_ns = self._inference.since_ns, self.clock.mono_ns()
        if since_ns and now_ns - since_ns > self.settings.timeouts__chunk_age_s * 1e9:
            self.session.wait(self._inference.slow(now_ns - since_ns), now_ns)

    # --- the thread of the run ------------------------------------------------------------------------------

    def step(self) -> bool:
        """Once around; whether a run goes on."""
        self._link.poll(self.senses)
        run, now_ns = self._run, self.clock.mono_ns()
        if run is None:
            return False
        if not self._began:
            self._begin(run)
        trouble = None
        if (ending := self._over(run, now_ns)) is None and not self.settings.dry_run:
            self._following.believe(now_ns, self.clock.wall_ns() - now_ns)
            trouble = self._following.trouble(now_ns, self._link.others(), self._open_ns > 0)
        if trouble is not None and trouble.fatal:
            ending = Ending(trouble.reason, topics.UNKNOWN, trouble.text)
        if ending is not None:
            self._finish(run, ending)
        elif trouble is not None or (trouble := self._unheard(now_ns)) is not None:
            self._wait(run, trouble, now_ns)
        elif self._link.is_heard():
            self._may_act(run, now_ns)
        return self._run is not None

    def abandon(self, why: str, reason: Why = Why.CANCELLED) -> None:
        """The node ends, or cannot go on: so does a run, now."""
        if (run := self._run) is not None:
            self._finish(run, Ending(reason, topics.UNKNOWN, why))

    def heard_event(self, event: EpisodeEvent) -> None:
        """An episode event; one from before the run is not about it."""
        run = self._run
        if event.kind == EpisodeEvent.RESET:
            self.senses.reset = event
        if run is not None and self._judged is None and stamp_ns(event) >= run.began_wall_ns:
            self._judged = sessions.of_event(event, run.task)

    def heard_task(self, task: str) -> None:
        """A task by topic: begins a run, or goes on with another task in the one that goes on; empty ends it."""
        run = self._run
        if run is None and task:
            if (ending := self.ask(task).ending) is not None:
                self._link.say(Level.WARN, ending.reason, ending.text)
        elif run is not None and not task:
            run.cancelled = "an empty task was sent"
        elif run is not None and task != run.task:
            if (why := self._unknown(task)) is not None:
                self._link.say(Level.WARN, Why.TASK_UNKNOWN, f"{why}; going on with {run.task}")
                return
            self._link.say(Level.INFO, "TASK_CHANGED", f"{task} instead of {run.task}")
            run.task = task

    def _unknown(self, task: str) -> str | None:
        try:
            self._policy.contract.task_input(task)
        except ContractError as error:
            return str(error)
        return None

    def _begin(self, run: Run) -> None:
        judged = self._judged
        self._clear()
        self._began, self._judged = True, judged
        self._policy.reset(self.settings.seed)
        limit = f"{run.limit_s:g} s" if run.limit_s else "no time limit"
        self.session.begin(f"{run.task}, {limit}", run.began_ns)

    def _over(self, run: Run, now_ns: int) -> Ending | None:
        if run.cancelled:
            return Ending(Why.CANCELLED, topics.UNKNOWN, run.cancelled)
        if self._judged is None and run.limit_s and now_ns - run.began_ns >= run.limit_s * 1e9:
            reset = self.senses.reset  # who places objects also judges
            outcome = topics.FAILURE if reset is not None and reset.task == run.task else topics.UNKNOWN
            return Ending(Why.TIME_OVER, outcome, f"{run.limit_s:g} s are over")
        return self._judged

    def _unheard(self, now_ns: int) -> Trouble | None:
        """Become a publisher of chunks; the driver has yet to find us."""
        if not self._open_ns:
            self._link.open()
            self._open_ns = now_ns
        if self.settings.dry_run or self._link.is_heard() or now_ns - self._open_ns < DISCOVERY_NS:
            return None
        return Trouble(Why.DRIVER_SILENT, f"nobody listens to {names.TOPIC_ACTION_CHUNK}", about="topic")

    def _wait(self, run: Run, trouble: Trouble, now_ns: int) -> None:
        self._following.waits()
        if self._lockstep and self._jumps.is_new(now_ns):
            return
        if (ending := self.session.wait(trouble, now_ns)) is not None:
            self._finish(run, ending)

    # --- chunks ---------------------------------------------------------------------------------------------

    def _may_act(self, run: Run, now_ns: int) -> None:
        if not self._due.is_due(self.senses.observer.reached_ns, now_ns):
            return
        observation = self.senses.observe(self.clock.wall_ns())
        if isinstance(observation, Stale):
            self._wait(run, sessions.of_stale(observation), now_ns)
        elif self._due.is_meant(observation.t_obs_ns):
            self._act(run, observation)

    def _act(self, run: Run, observation: Observation) -> None:
        began_ns = self.clock.mono_ns()
        t_obs_ns = observation.t_obs_ns - (self.clock.wall_ns() - began_ns)
        self._due.used(observation.t_obs_ns, began_ns)
        if self.settings.dry_run:
            held = self.senses.set_points(began_ns)
            self._following.schedule.stand(observation.q if held is None else held, t_obs_ns)
        elif self._lockstep:
            self._following.schedule.stand(observation.q, t_obs_ns)
            observation = replace(observation, q=robotwin.before(self._executed, observation.q))
        committed = self._following.committed(t_obs_ns, began_ns + self.latency.expected_ns)
        self._asked = True
        chunk = self._inference.ask(run.task, observation, self._following.schedule.at(t_obs_ns), committed)
        if isinstance(chunk, Ending):  # there is none
            self._finish(run, chunk)
            return
        if run.cancelled or run.ending is not None:  # ended meanwhile, by another thread
            return
        now_ns = self.clock.mono_ns()
        if now_ns - t_obs_ns > self.settings.timeouts__chunk_age_s * 1e9:
            self._wait(run, self._inference.slow(now_ns - began_ns), now_ns)
            return
        self.latency.add(now_ns - began_ns)  # of chunks in time only: those that are not sent commit nothing
        if run.chunks == 0:
            self._event(EpisodeEvent.STARTED, run, "")
        self._link.send(observation.t_obs_ns, chunk.q)
        self._following.sent(t_obs_ns, chunk.q, now_ns)
        self._executed = robotwin.actions(chunk.q) if self._lockstep else None
        self._told(run, Told(observation.t_obs_ns, run.task, run.chunks, chunk, began_ns - t_obs_ns, now_ns - began_ns))
        self.session.run(now_ns)

    def _told(self, run: Run, told: Told) -> None:
        self._link.tell(told)
        run.latency_ns, run.active = told.total_ns, tuple(int(k) for k in np.flatnonzero(told.chunk.active))
        run.chunks += 1

    # --- the end --------------------------------------------------------------------------------------------

    def _finish(self, run: Run, ending: Ending) -> None:
        now_ns, wall_ns = self.clock.mono_ns(), self.clock.wall_ns()
        if self._began and run.chunks and not self.settings.dry_run and self._following.is_followed:
            self._link.send(wall_ns, self._following.brake(now_ns))  # to rest, instead of along the plan to its end
        self._link.close()
        own = _EVENTS.get(ending.reason) if self._asked else None
        if ending.reason not in _JUDGED and (run.chunks or own is not None):
            self._event(EpisodeEvent.ABORTED if own is None else own, run, ending.text)
        run.seconds = (now_ns - run.began_ns) * 1e-9
        self.session.stop(ending, now_ns)
        self._clear()
        with self._lock:
            self._run = None
        run.ending = ending

    def _event(self, kind: int, run: Run, text: str) -> None:
        if not self.settings.dry_run:
            self._link.episode(kind, run, text, self.senses.reset)


_JUDGED = (Why.SUCCESS, Why.FAILED, Why.EPISODE_RESET)  # by somebody who has said so
# What is the policy's own doing, and told even where it never moved an arm; all else comes from outside. A driver that
# may be commanded and does not follow refuses its chunks: out of limits, a jump, too old.
_EVENTS = {
    Why.TIME_OVER: EpisodeEvent.TIMED_OUT,
    Why.MODEL_BROKEN: EpisodeEvent.FAILED,
    Why.INFERENCE_FAILED: EpisodeEvent.FAILED,
    Why.POLICY_ERROR: EpisodeEvent.FAILED,
    Why.NOT_FOLLOWED: EpisodeEvent.FAILED,
}
