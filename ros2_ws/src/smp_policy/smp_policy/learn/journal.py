"""What a training says while it goes on: a progress line, `log.csv`, and a picture of it at the end."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

CSV, PLOT = "log.csv", "training.png"
PANELS = {  # title -> columns of one picture
    "loss, trained on": ("total", "coeff", "recon", "gate", "align"),
    "loss, held out": ("held_total", "held_coeff", "held_recon", "held_gate", "held_align"),
    "experts: used at all, active at once": ("n_eff", "active"),
    "switches a policy step; NMI of gate and phase": ("switch", "nmi"),
    "energy: left out by selection, beyond the basis": ("dropped", "residual"),
    "gain of the router over q; certainty / 100": ("gain", "certainty_100"),
}


class Journal:
    """Rows of numbers by optimiser step, appended to `log.csv`; a resumed training goes on where it was saved."""

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self.path = folder / CSV
        kept = [row for row in read(folder) if row["step"] <= resumed_at] if resumed_at else []
        self._columns = list(kept[0]) if kept else []
        self.path.write_text("")
        for row in kept:
            self._write(row)

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """One row; every row has the columns of the first."""
        self._write({"step": step, **numbers})

    def _write(self, row: Mapping[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            if file.tell() == 0:
                self._columns = self._columns or list(row)
                csv.writer(file).writerow(self._columns)
            csv.writer(file).writerow([f"{row[name]:.6g}" for name in self._columns])


def read(folder: Path) -> list[dict[str, float]]:
    """Rows of `log.csv`; empty without one. A line cut short by a crash is left out."""
    path = folder / CSV
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row and all(row.values())]
    return [{name: float(value) for name, value in row.items()} for row in rows]


def plot(folder: Path, panels: Mapping[str, tuple[str, ...]] = PANELS) -> Path | None:
    """`training.png` of what `log.csv` holds, up to six ``panels``; None with fewer than two rows."""
    rows = read(folder)
    if len(rows) < 2:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), layout="constrained")
    across = math.ceil(len(panels) / 2)
    for axes, (title, columns) in zip(figure.subplots(2, across).flat, panels.items(), strict=False):
        for name in columns:
            factor, column = (0.01, "certainty") if name == "certainty_100" else (1.0, name)
            if column in rows[0]:
                axes.plot([row["step"] for row in rows], [factor * row[column] for row in rows], label=name)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("optimiser step")
        axes.grid(alpha=0.3)
        if "loss" in title:
            axes.set_yscale("log")
        if axes.lines:
            axes.legend(fontsize=8)
    path = folder / PLOT
    figure.savefig(path, dpi=110)
    return path
