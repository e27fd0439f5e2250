"""What can go wrong with a worker: it raised and goes on, or it is lost and must be started again."""

from __future__ import annotations

from collections.abc import Sequence


class WorkerError(RuntimeError):
    """A command came to nothing; the message says which and why, in one paragraph."""


class WorkerRaised(WorkerError):
    """The program raised while it did a command; the worker goes on and takes the next one.

    `phase` is where (import, setup, expert, instruction, step, servo, observe, ...), `type` the exception's name,
    `traceback` its text.
    """

    def __init__(self, command: str, phase: str, type: str, message: str, traceback: str = "") -> None:
        super().__init__(f"{command}: {type} in phase {phase}: {message}")
        self.phase, self.type, self.reason, self.traceback = phase, type, message, traceback


class WorkerLost(WorkerError):
    """No worker any more: it hung, died or talked nonsense, or was never there. `Link.start` starts another one."""


class WorkerHung(WorkerLost):
    """No answer in time; the worker was killed."""


class WorkerDied(WorkerLost):
    """The worker ended by itself; the message has its exit code and its last lines."""


class WorkerBabbled(WorkerLost):
    """What came from the worker is not the protocol; it was killed."""


def ended(code: int) -> str:
    """An exit code of subprocess in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def quoted(lines: Sequence[str]) -> str:
    """Last lines of a program, to be put behind a sentence."""
    return "; it said nothing" if not lines else "; its last lines: " + " | ".join(lines)
