"""What is kept of each episode for the page of a run: gates, goals, events, pictures. Pure.

Times are stamps, ns of the system clock. Bounded: a long episode is thinned evenly, of many the newest keep theirs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from piper_bringup.data.joints import stamp_ns
from piper_bringup.seen.thinned import Thinned

EPISODES, CHUNKS, PICTURES, MARKS = 30, 1000, 20, 40
GOALS = "goals_reached"  # key in /diagnostics: names with commas between, in their order, of this episode
RESET, STARTED, SUCCEEDED, ENDS = 0, 1, 2, (2, 3, 4, 5)  # kinds of smp_msgs/EpisodeEvent
WARN = 1  # least severity of smp_msgs/SafetyEvent that is marked


@dataclass(frozen=True)
class Decision:
    """Of one chunk: the gate of every expert, and which of them acted."""

    t_ns: int  # of the observation
    gate: tuple[float, ...]
    active: tuple[int, ...]


@dataclass
class Scene:
    """One episode. goals: name -> when it was first told, to the second that the cell tells it in."""

    number: int  # from 1, in the order in which episodes began
    began_ns: int
    ended_ns: int | None = None
    succeeded: bool = False
    decisions: Thinned[Decision] = field(default_factory=lambda: Thinned(CHUNKS))
    goals: dict[str, int] = field(default_factory=dict)
    events: list[tuple[int, str]] = field(default_factory=list)  # time, reason
    pictures: Thinned[tuple[int, bytes]] = field(default_factory=lambda: Thinned(PICTURES))  # time, JPEG
    last_picture: tuple[int, bytes] | None = None

    def shown(self, most: int) -> list[tuple[int, bytes]]:
        """At most `most` pictures, those nearest to evenly spaced times; the first and the last among them."""
        have = dict(self.pictures.items)
        if self.last_picture is not None:
            have |= (self.last_picture,)
        if not have:
            return []
        first_ns, last_ns = min(have), max(have)
        wanted = [first_ns + (last_ns - first_ns) * i // max(1, most - 1) for i in range(most)]
        chosen = {min(have, key=lambda t_ns, at=at: abs(t_ns - at)) for at in wanted}
        return [(t_ns, have[t_ns]) for t_ns in sorted(chosen)]

    def seconds(self, t_ns: int) -> float:
        """Since the episode began."""
        return (t_ns - self.began_ns) * 1e-9


class Chronicle:
    """The newest EPISODES scenes. Between the end of one and the begin of the next nothing but its goals is added."""

    def __init__(self) -> None:
        self.scenes: deque[Scene] = deque(maxlen=EPISODES)
        self._count = 0
        self._scene: Scene | None = None  # until the objects are placed anew
        self._picture: tuple[int, Callable[[], bytes]] | None = None

    def episode_event(self, event: object) -> None:
        """A smp_msgs/EpisodeEvent. The first end of an episode stands."""
        t_ns = stamp_ns(event)
        if event.kind == RESET:
            self._scene = None
        elif event.kind == STARTED:
            self._count += 1
            self._scene = Scene(self._count, t_ns)
            self.scenes.append(self._scene)
        elif event.kind in ENDS and self._runs:
            self._scene.ended_ns, self._scene.succeeded = t_ns, event.kind == SUCCEEDED
            self.close()

    def skill_state(self, state: object) -> None:
        """A smp_msgs/SkillState; one of other experts than the episode began with is left out."""
        if not self._runs:
            return
        gate, active = tuple(map(float, state.gate)), tuple(map(int, state.active_experts))
        decisions = self._scene.decisions
        if not decisions.items or len(decisions.items[0].gate) == len(gate):
            decisions.add(Decision(stamp_ns(state), gate, active))

    def safety_event(self, event: object) -> None:
        """A smp_msgs/SafetyEvent; those that need nothing done are not marked."""
        if self._runs and event.severity >= WARN and len(self._scene.events) < MARKS:
            self._scene.events.append((stamp_ns(event), event.reason))

    def goals(self, text: str, t_ns: int) -> None:
        """What GOALS said at t_ns. After the end only a success still has some to tell."""
        scene = self._scene
        if scene is None or t_ns < scene.began_ns or (scene.ended_ns is not None and not scene.succeeded):
            return
        for goal in filter(None, text.split(", ")):
            scene.goals.setdefault(goal, min(t_ns, scene.ended_ns or t_ns))

    def picture(self, t_ns: int, jpeg: Callable[[], bytes]) -> None:
        """A picture of the head camera, made into a JPEG only where it is kept. Raises what `jpeg` does."""
        if self._runs:
            pictures = self._scene.pictures
            pictures.add((t_ns, jpeg()) if pictures.wants_next else None)
            self._picture = t_ns, jpeg

    def close(self) -> None:
        """The episode ended, or the run: its newest picture is the last one."""
        if self._scene is not None and self._picture is not None:
            t_ns, jpeg = self._picture
            with suppress(ValueError):  # a damaged one; whoever delivers pictures has said so
                self._scene.last_picture = t_ns, jpeg()
        self._picture = None

    @property
    def _runs(self) -> bool:
        return self._scene is not None and self._scene.ended_ns is None
