"""What ablations say on the claims of the method: numbers of result.json, paired, held against a bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from smp_policy.learn.evaluate_result import ALL
from smp_policy.learn.score import Interval, bootstrap_difference, mean, paired_difference, wilson

Results = dict[str, list[dict[str, Any]]]  # ablation -> result.json of each training
NOT_WORSE = -0.05  # success may be that much lower and still count as kept
EITHER_ARM_FIRST = ("pick_dual_bottles", "stack_two_blocks")  # tasks whose experts begin with either arm
COLUMNS = (
    *("ablation", "what", "success", "95 % interval", "-A0", "progress"),
    *("active", "switch rate", "NMI", "N_eff", "jerk at joins"),
)


@dataclass(frozen=True)
class Claim:
    """`difference` has to lie above `bound`."""

    ablation: str
    text: str
    difference: Interval
    bound: float = 0.0

    @property
    def verdict(self) -> str:
        """Accepted or rejected where the whole interval says so."""
        if not math.isfinite(self.difference.low):
            return "undecided: too few pairs"
        if self.difference.low > self.bound:
            return "accepted"
        return "rejected" if self.difference.high < self.bound else "undecided"

    def measured(self) -> str:
        """The difference with its interval, and the bound."""
        value, low, high = self.difference
        return f"{value:+.3f} ({low:+.3f} to {high:+.3f}), bound {self.bound:g}"


def first_method(result: dict[str, Any]) -> dict[str, Any]:
    """Numbers of the method that was asked for."""
    return next(iter(result["methods"].values()))


def episodes(results: Iterable[dict[str, Any]], tasks: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Of all trainings, one behind the other; only of `tasks` if there are any."""
    every = [episode for result in results for episode in first_method(result)["episodes"]]
    return [episode for episode in every if not tasks or episode["task"] in tasks]


def success_difference(first: list, second: list, tasks: Sequence[str] = ()) -> Interval:
    """First less second, over the same episodes of the same trainings; NaN where there is none."""
    a, b = ([e["success"] for e in episodes(results, tasks)] for results in (first, second))
    return paired_difference(a, b) if a else Interval(math.nan, math.nan, math.nan)


def episode_difference(key: str, first: list, second: list) -> Interval:
    """The same of another number of an episode."""
    return bootstrap_difference(*([_number(e[key]) for e in episodes(results)] for results in (first, second)))


def skill_difference(key: str, first: list, second: list) -> Interval:
    """The same of a number measured on demonstrations, over tasks and trainings."""
    return bootstrap_difference(*(_skill(key, results) for results in (first, second)))


def _skill(key: str, results: list) -> list[float]:
    return [_number(one[key]) for r in results for task, one in r["skills"]["tasks"].items() if task != ALL]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def row(name: str, what: str, found: Results) -> tuple[str, ...]:
    """One line of the table."""
    own = episodes(found[name])
    share = wilson(sum(e["success"] for e in own), len(own))
    less = success_difference(found[name], found["A0"])
    every = [first_method(result)["tasks"][ALL] for result in found[name]]
    of_all: Callable[[str], float] = lambda key: mean([_number(one[key]) for one in every])  # noqa: E731
    return (
        name,
        what,
        f"{share.value:.1%}",
        f"{share.low:.0%} - {share.high:.0%}",
        "" if name == "A0" else f"{less.value:+.1%} ({less.low:+.0%} to {less.high:+.0%})",
        f"{of_all('progress'):.2f}",
        f"{of_all('active'):.2f}",
        f"{of_all('switch_rate'):.3f}",
        f"{mean(_skill('nmi', found[name])):.2f}",
        f"{of_all('n_eff'):.1f}",
        f"{of_all('jerk_joins'):.0f}",
    )


def claims(found: Results) -> list[Claim]:
    """All that the ablations there are can say."""
    a0 = found["A0"]
    made = []
    for name, judge in JUDGES.items():
        if name in found:
            made += [Claim(name, *said) for said in judge(a0, found[name])]
    return made + _coverage_claims(found)


# Ablation -> what it claims, given results of A0 and its own: text, difference, and a bound other than 0.
JUDGES: dict[str, Callable[[list, list], list[tuple]]] = {
    "A1": lambda a0, own: [
        ("the gate term raises success", success_difference(a0, own)),
        ("without it experts switch more often", episode_difference("switch_rate", own, a0)),
        ("without it chunks join less smoothly (jerk)", episode_difference("jerk_joins", own, a0)),
    ],
    "A2": lambda a0, own: [("a basis that adapts to the state raises success", success_difference(a0, own))],
    "A2b": lambda a0, own: [("it does over principal directions, too", success_difference(a0, own))],
    "A2c": lambda a0, own: [
        ("the bound keeps success (within 5 points)", success_difference(a0, own), NOT_WORSE),
        ("without it gates know less of phases (NMI)", skill_difference("nmi", a0, own)),
    ],
    "A3": lambda a0, own: [
        ("at the mean gate, gates know less of phases (NMI)", skill_difference("nmi", a0, own)),
        ("expected reconstruction raises success", success_difference(a0, own)),
    ],
    "A4": lambda a0, own: [
        ("a Dirichlet gate knows more of phases than a softmax (NMI)", skill_difference("nmi", a0, own)),
        ("it switches less often", episode_difference("switch_rate", own, a0)),
        ("it raises success", success_difference(a0, own)),
    ],
    "A6": lambda a0, own: [("the gate that scales what experts say raises success", success_difference(a0, own))],
    "A7": lambda a0, own: [
        ("experts that read all coefficients succeed more often", success_difference(a0, own)),
        ("they do where either arm may begin", success_difference(a0, own, EITHER_ARM_FIRST)),
    ],
    "A8_rank_2": lambda a0, own: [
        ("one direction an expert keeps the success of two (within 5 points)", success_difference(a0, own), NOT_WORSE),
        ("with two, fewer experts act", episode_difference("active", a0, own)),
    ],
    "A8_chunk_basis": lambda a0, own: [
        ("directions of rows succeed more often than those of whole chunks", success_difference(a0, own)),
        ("and leave less of what was shown out of reach (residual)", skill_difference("residual", own, a0)),
    ],
    "A11_stop": lambda a0, own: [("stopped targets raise success", success_difference(a0, own))],
    "A11_align": lambda a0, own: [("a router that follows the posterior raises success", success_difference(a0, own))],
    "A10 sticky filter": lambda a0, own: [
        ("the filter makes experts switch less often", episode_difference("switch_rate", a0, own)),
        ("and keeps success (within 5 points)", success_difference(own, a0), NOT_WORSE),
    ],
    "A5 all experts": lambda a0, own: [
        ("coverage 0.95 keeps the success of all experts (within 5 points)", success_difference(a0, own), NOT_WORSE)
    ],
    "A5 coverage 0.95, linear mass": lambda a0, own: [
        ("squared mass succeeds more often than linear mass", success_difference(a0, own)),
        ("and runs fewer experts", episode_difference("active", own, a0)),
    ],
}


def _coverage_claims(found: Results) -> list[Claim]:
    """Coverage against the smallest fixed number of experts that is at least as many."""
    active = mean([first_method(result)["tasks"][ALL]["active"] for result in found["A0"]])
    numbers = {int(name.rsplit(" ", 1)[1]): name for name in found if name.startswith("A5 top ")}
    enough = [k for k in sorted(numbers) if k >= active]
    if not enough:
        return []
    fixed = numbers[enough[0]]
    text = f"coverage 0.95 ({active:.2f} experts) succeeds at least as often as always {enough[0]} (within 5 points)"
    return [Claim("A5", text, success_difference(found["A0"], found[fixed]), NOT_WORSE)]
