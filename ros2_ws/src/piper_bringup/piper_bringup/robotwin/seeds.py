"""The first seed that makes an episode, and why those before it did not.

Python 3.8, standard library only: workers import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from piper_bringup.robotwin.phase import phase


class NoEpisode(RuntimeError):
    """No episode is under way, or no seed made one."""


def first(
    seed: int, max_skipped: int, attempt: Callable[[int], tuple[tuple[str, str] | None, Any]]
) -> tuple[int, Any, list[dict[str, Any]]]:
    """The first seed from `seed` on that will do, what came of it, and those that were skipped.

    attempt: of a seed, (reason, detail) why it will not do, or None; and what came of it. Skipped are {"seed",
    "reason", "detail"}, at most `max_skipped`. Raises PhaseError (seeds) where more would be.
    """
    skipped: list[dict[str, Any]] = []
    for tried in range(seed, seed + max_skipped + 1):
        reason, outcome = attempt(tried)
        if not reason:
            return tried, outcome, skipped
        skipped.append({"seed": tried, "reason": reason[0], "detail": reason[1]})
    with phase("seeds"):
        raise NoEpisode(f"no seed from {seed} to {tried} will do: {_told(skipped)}")


def _told(skipped: list[dict[str, Any]]) -> str:
    """Reasons with their seeds, each reason once."""
    seeds: dict[str, list[str]] = {}
    for entry in skipped:
        seeds.setdefault(f"{entry['reason']} ({entry['detail']})", []).append(str(entry["seed"]))
    return "; ".join(f"{reason}: {', '.join(numbers)}" for reason, numbers in seeds.items())
