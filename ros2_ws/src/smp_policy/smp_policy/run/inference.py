"""What the policy is asked and answers: a chunk, or why the run ends."""

from __future__ import annotations

from piper_bringup.arm.clock import Clock
from piper_bringup.data import topics
from piper_bringup.data.observation import Observation
from smp_policy.run.chunk import Floats
from smp_policy.run.contract import ContractError
from smp_policy.run.policy import Chunk, Policy
from smp_policy.run.senses import Senses
from smp_policy.run.session import Ending, Trouble, Why


class Inference:
    """One thread asks, any may look since when."""

    def __init__(self, policy: Policy, senses: Senses, clock: Clock, most_s: float) -> None:
        """most_s: a chunk may be this old."""
        self._policy, self._senses, self._clock, self._most_s = policy, senses, clock, most_s
        self.since_ns = 0  # when the answer that is waited for was asked for, monotonic; 0: none is

    def ask(self, task: str, observation: Observation, target: Floats, committed: Floats | None) -> Chunk | Ending:
        """The policy's answer; where it has none, the end of the run."""
        if committed is not None:
            committed = committed[: self._policy.contract.config.rows]
        self.since_ns = self._clock.mono_ns()
        try:
            return self._policy.act(self._senses.query(task, observation, target, committed))
        except ContractError as error:
            return Ending(Why.MODEL_BROKEN, topics.UNKNOWN, str(error))
        except Exception as error:  # of a library: out of memory, a lost GPU
            text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            return Ending(Why.INFERENCE_FAILED, topics.UNKNOWN, text)
        finally:
            self.since_ns = 0

    def slow(self, took_ns: int) -> Trouble:
        """It took too long."""
        text = f"inference takes {took_ns * 1e-9:.2f} s, and a chunk may be {self._most_s:g} s old; the arms hold"
        return Trouble(Why.INFERENCE_SLOW, text)
