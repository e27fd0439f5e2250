"""Where in a worker's program something went wrong. Python 3.8, standard library only: workers import it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseError(Exception):
    """What was raised in a phase; `data` is what goes over the socket."""

    def __init__(self, phase: str, cause: BaseException) -> None:
        super().__init__(f"{phase}: {cause}")
        self.phase, self.cause = phase, cause

    def data(self) -> dict[str, str]:
        """The error of an answer, as `protocol` describes it."""
        text = "".join(traceback.format_exception(type(self.cause), self.cause, self.cause.__traceback__))
        return {
            "phase": self.phase,
            "type": type(self.cause).__name__,
            "message": str(self.cause) or type(self.cause).__name__,
            "traceback": text,
        }


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Raises PhaseError for whatever is raised inside; exit(), which RoboTwin calls here and there, is an error too."""
    try:
        yield
    except PhaseError:
        raise
    except (Exception, SystemExit) as error:
        raise PhaseError(name, error) from error
