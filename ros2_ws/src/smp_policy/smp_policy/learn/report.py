"""The page that a person reads: numbers of result.json and timing.json as tables, pictures, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from smp_policy.learn.evaluate_result import ALL

Content = dict[str, Any]
COLUMNS = (
    "task",
    "success",
    "95 % interval",
    "progress",
    "active experts",
    "switch rate",
    "N_eff",
    "jerk at joins / where experts change / elsewhere",
    "chunk p50 / p95 ms",
    "failures ended after",
)

READING = """How to read the table:

- **success**: episodes in which physics showed every goal of the task, in order, before {limit_s:g} s were over;
  with the Wilson interval: the range of true success rates that the count fits.
- **progress**: mean share of the task's goals reached, failures included. *Failures ended after* names the last goal
  that failed episodes reached, and how many.
- **active experts**: how many of the {experts} experts denoised a chunk, on average. A chunk is 0.8 s of motion, made
  anew every 0.2 s.
- **switch rate**: share of chunks whose heaviest expert is another than that of the chunk before.
- **N_eff**: how many experts are used at all: 1 one alone, {experts} all alike.
- **jerk**: root mean square of the third derivative of the joints' targets, rad/s³: within 0.05 s of where a new chunk
  takes over; of those, where other experts are active than before; everywhere else. Alike: joins cannot be felt.
  Targets are what the policy wants, before any limit.
- **chunk ms**: wall clock of one inference, on one thread of the machine that made this page, with {processes}
  episodes played at a time."""

CAPTIONS = {
    "success": ("Success", "Bars are shares, whiskers 95 % Wilson intervals."),
    "active": ("Experts at once", "How often a chunk was made by so many experts."),
    "gates": (
        "Skills over time, closed loop",
        "The first episode of each task. Areas: how strongly each expert is gated; below them, who was active. Skills "
        "show as long stretches of one colour that change where the task does.",
    ),
    "gates_demonstrated": (
        "Skills over time, on demonstrations",
        "The same, asked along a recorded demonstration; dotted lines and names are the phases of the expert that "
        "recorded it, which the policy has never been told.",
    ),
    "directions_over_time": (
        "Directions over time, closed loop",
        "Every expert moves both arms along one direction. Blue: it moves the left arm alone; red: the right alone; "
        "white: both. Dots: it was active.",
    ),
    "directions_demonstrated": ("Directions over time, on demonstrations", "The same, along recorded demonstrations."),
    "directions": ("What directions are made of", "Mean squared entries; each column sums to 1."),
    "knock_out": (
        "Knock-out",
        "How much the open-loop error of each arm rises when one expert is struck out of those that selection chose, "
        "as a share of the mean action energy of the task. A strong cell says: in this phase, this arm is that "
        "expert's. One strong cell a row is a division of labour; columns strong throughout are one expert for all.",
    ),
}


def markdown(content: Content, timing: Content, pictures: Sequence[str]) -> str:
    """The whole page. `pictures` names PNG files beside it."""
    model, first = content["model"], next(iter(content["methods"]))
    parts = [f"# Evaluation of {model['name']}\n\n{_introduction(content)}", _headline(content, first)]
    parts += [f"## {name}\n\n{_score_table(content, timing, name)}" for name in content["methods"]]
    parts.append(_reading(content, timing))
    if content["difference"]:
        parts.append(f"## Against all experts\n\n{difference_text(content)}")
    parts.append(f"## Size\n\n{_sizes(content)}")
    parts.append(f"## Skills on demonstrations\n\n{_skills(content)}")
    for name in pictures:
        title, caption = CAPTIONS[name]
        parts.append(f"## {title}\n\n{caption}\n\n![{title}]({name}.png)")
    parts.append(f"## Goals\n\n{_goals(content)}")
    return "\n\n".join(parts) + "\n"


def _introduction(content: Content) -> str:
    low, high = content["seeds"]
    notes = ", ".join(f"{name} {value}" for name, value in content["model"]["notes"].items())
    return (
        f"Closed loop in the simulated cell, through the driver's plan, limits and rates: seeds {low} to {high} of "
        f"each task; a chunk takes effect {content['delay_ms']} ms after its observation. Demonstrations are made "
        "from seed 0 upwards and seeds from 90000 are left to evaluation, so the policy has not seen these starts. "
        f"Trained in: {content['model']['trained_in']}; {notes}."
    )


def _headline(content: Content, name: str) -> str:
    every = content["methods"][name]["tasks"][ALL]
    return (
        f"**{name}: {share(every['success'][0])} of {every['episodes']} episodes succeeded (95 % interval "
        f"{interval(every['success'])}), with {number(every['active'])} of {content['model']['experts']} experts "
        "active on average.**"
    )


def _reading(content: Content, timing: Content) -> str:
    return READING.format(
        limit_s=content["limit_s"], experts=content["model"]["experts"], processes=timing["processes"]
    )


def rows(content: Content, timing: Content, name: str) -> list[tuple[str, ...]]:
    """Cells of the table of method `name`, a row a task, the last over all."""
    found = []
    for task, one in content["methods"][name]["tasks"].items():
        ms = timing["chunk"][name][task]
        ended = ", ".join(f"{goal} {count}" for goal, count in one["failed_after"].items())
        for what, text in (
            ("physics_broke", "physics broke in"),
            ("driver_gave_up", "the driver gave up in"),
            ("chunks_refused", "chunks refused:"),
        ):
            ended += f"; {text} {one[what]}" if one[what] else ""
        found.append(
            (
                task,
                f"{one['succeeded']} of {one['episodes']}",
                interval(one["success"]),
                number(one["progress"]),
                number(one["active"]),
                number(one["switch_rate"]),
                number(one["n_eff"]),
                " / ".join(number(one[f"jerk_{where}"], 0) for where in ("joins", "changes", "elsewhere")),
                f"{number(ms['p50_ms'], 1)} / {number(ms['p95_ms'], 1)}",
                ended or "-",
            )
        )
    return found


def table(content: Content, timing: Content, name: str) -> Table:
    """For a terminal."""
    made = Table(*COLUMNS, title=name)
    for row in rows(content, timing, name):
        made.add_row(*row, style="bold" if row[0] == ALL else None)
    return made


def _score_table(content: Content, timing: Content, name: str) -> str:
    return markdown_table(COLUMNS, rows(content, timing, name))


def markdown_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """As it is written in Markdown."""
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def difference_text(content: Content) -> str:
    """One paragraph: the paired difference, what interval that is, what it means."""
    first, second = content["methods"]
    d, n = content["difference"], len(content["methods"][first]["episodes"])
    value, low, high = (100 * x for x in d["success"])
    progress = f"{d['progress'][0]:+.3f}"
    if d["progress"][1] is not None:
        progress += " ({1:+.3f} to {2:+.3f}, paired bootstrap)".format(*d["progress"])
    if low > 0:
        verdict = f"{first} is better."
    elif high < 0:
        verdict = f"{first} is worse."
    else:
        verdict = "The interval includes 0: no difference is shown."
    return (
        f"{first} less {second} in the same {n} episodes: success {value:+.1f} points (95 % interval {low:+.1f} to "
        f"{high:+.1f}, paired, Newcombe's score method), progress {progress}. "
        f"{d['only_first']} episodes succeeded only with {first}, {d['only_second']} only with {second}. {verdict}"
    )


def _sizes(content: Content) -> str:
    size = content["model"]["size"]
    cells = [
        (name, million(numbers["parameters"]["active"]), million(numbers["parameters"]["active_experts_only"]))
        for name, numbers in content["methods"].items()
    ]
    columns = ("method", "active, encoder, basis and router included", "active, of the experts alone")
    return (
        f"{million(next(iter(content['methods'].values()))['parameters']['total'])} weights run: encoder "
        f"{million(size['encoder'])}, basis {million(size['basis'])}, router {million(size['router'])}, "
        f"{size['experts']} experts of {million(size['expert'])}, {million(size['shared'])} shared by them. "
        f"{million(size['training_only'])} more are needed in training only. Active weights are counted both ways, "
        f"since papers do either:\n\n{markdown_table(columns, cells)}"
    )


def _skills(content: Content) -> str:
    method = next(iter(content["methods"].values()))
    arms = (
        f"Directions of active experts belong to one arm by {number(method['purity'])} (1: each moves one arm alone; "
        "0.5: both alike)."
    )
    found = content["skills"]
    if found is None:
        return f"{arms} The rest needs demonstrations: give `--data`."
    columns = ("task", "NMI gate, phase", "energy left out", "out of reach", "gain", "active experts", "N_eff")
    keys = ("nmi", "dropped", "residual", "gain", "active", "n_eff")
    cells = [(task, *(number(one[key], 3) for key in keys)) for task, one in found["tasks"].items()]
    within = number(found["tasks"][ALL]["nmi_within_tasks"], 3)
    return f"""{arms} Measured on {found["episodes"]} demonstrations, {found["policy_steps"]} policy steps, open loop:

{markdown_table(columns, cells)}

- **NMI gate, phase**: how much the heaviest expert tells about the phase of the scripted expert, and the reverse; 0
  nothing, 1 all. Phases are counted for each task, so over all tasks a gate that only knew the task would score too:
  the mean within tasks is {within}.
- **energy left out**: share of the demonstrated action that experts left out by selection would have made;
  coverage of the gate's mass is a promise of this only as far as gates are right.
- **out of reach**: share that no expert's direction reaches.
- **gain**: router's gate over the posterior's, weighted by what moves; by so much motion would be scaled, had targets
  been divided by the posterior's."""


def _goals(content: Content) -> str:
    return "\n".join(f"- {task}: {', '.join(goals)}" for task, goals in content["goals"].items())


def number(value: float | None, digits: int = 2) -> str:
    """A dash where nothing was counted."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float) -> str:
    """0.9 as 90 %."""
    return f"{100 * value:.1f} %"


def interval(value: Sequence[float]) -> str:
    """Of a share (value, low, high)."""
    return f"{100 * value[1]:.0f} - {100 * value[2]:.0f} %"


def million(weights: int) -> str:
    """Weights, in millions."""
    return f"{weights / 1e6:.3g} M"
