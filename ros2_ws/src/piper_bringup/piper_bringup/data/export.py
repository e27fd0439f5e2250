"""Our episodes in RoboTwin 2.0's layouts, so that its own baselines can be trained on our demonstrations.

    python -m piper_bringup.data.export DATA... --layout robotwin-stable --out ROBOTWIN/data
    python -m piper_bringup.data.export DATA... --layout robotwin-v1 --out ROBOTWIN/data

stable_2.0 finds them as <task>/NAME/data/episode0.hdf5 with instructions beside it, XPolicyLab (branch main) as
NAME/<task>/piper/data/episode_0000000.hdf5. Episodes are numbered from 0 in the order of their files; as in RoboTwin,
only successful ones. What a frame holds is the set-point in force, which is what RoboTwin records and shows; measured
joints, objects, depth and poses of the hands are not in it.

A file that is there and differs is never replaced: the run ends there. Run again, it goes on.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from piper_bringup.data import layouts
from piper_bringup.data.episode_files import find, write_whole
from piper_bringup.data.episode_rules import Episode, EpisodeError
from piper_bringup.data.layouts import robotwin_stable, robotwin_v1

_LAYOUTS = {"robotwin-stable": robotwin_stable, "robotwin-v1": robotwin_v1}


@dataclass(frozen=True)
class Args:
    """Write episodes as RoboTwin would have."""

    data: tyro.conf.Positional[tuple[Path, ...]]
    """Episode files, or folders of them."""
    layout: Literal["robotwin-stable", "robotwin-v1"]
    """Of branch stable_2.0, or of main (XPolicyLab)."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The `data` folder of a RoboTwin checkout, or any other."""
    name: str = "smp"
    """What stands where RoboTwin has the task configuration."""


@dataclass(frozen=True)
class Line:
    """What became of one episode: the file written, or why there is none; `wrong` if nobody expected that."""

    task: str
    file: Path | None = None
    why: str = ""
    wrong: bool = False


def export(args: Args) -> Iterator[Line]:
    """Write one after the other. Raises EpisodeError: nothing to read, nowhere to write, another episode there."""
    if "/" in args.name or args.name in ("", ".", ".."):
        raise EpisodeError(f"name is '{args.name}'; wanted is the name of a folder")
    layout, seeds = _LAYOUTS[args.layout], defaultdict(list)
    for path in tqdm(find(args.data), desc="export", unit="episode", disable=None):
        try:
            episode = layouts.load(path)
            if not episode.success:
                yield Line(episode.task, why=f"{path}: did not succeed")
                continue
            content = layout.encode(episode)
        except EpisodeError as error:
            text = str(error) if str(error).startswith(str(path)) else f"{path}: {error}"
            yield Line("", why=text, wrong=True)
            continue
        folder = layout.place(args.out, args.name, episode.task)
        known = seeds[episode.task]
        file = folder / "data" / f"{layout.file_name(len(known))}.hdf5"
        _put(file, content)
        known.append(str(episode.seed))
        _put_beside(folder, file.stem, episode, known, layout is robotwin_stable)
        yield Line(episode.task, file)


def main(args: Args) -> None:
    """Export and say what became of it; exit code 1 when something was refused, 130 after Ctrl-C."""
    written, code = defaultdict(list), 0
    try:
        for line in export(args):
            if line.file is not None:
                written[line.file.parent].append(line.file)
            else:
                print(f"export: {line.why}", file=sys.stderr)
                code = max(code, int(line.wrong))
    except EpisodeError as error:
        print(f"export: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("export: interrupted; every file written is whole", file=sys.stderr)
        code = 130
    for folder, files in written.items():
        print(f"{folder}: {len(files)} episodes, {files[0].name} to {files[-1].name}")
    sys.exit(code)


def _put(file: Path, content: bytes) -> None:
    if not file.exists():
        write_whole(file, content)
    elif file.read_bytes() != content:
        raise EpisodeError(f"{file}: there already, with other content; take another --name or --out")


def _put_beside(folder: Path, stem: str, episode: Episode, seeds: list[str], has_instructions: bool) -> None:
    """seed.txt, one seed an episode, and where the file itself does not say it the instruction."""
    write_whole(folder / "seed.txt", (" ".join(seeds) + " ").encode())
    if has_instructions:
        told = {"seen": [episode.instruction], "unseen": [episode.instruction]}
        write_whole(folder / "instructions" / f"{stem}.json", json.dumps(told, ensure_ascii=False).encode())


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m piper_bringup.data.export"))
