"""Export of episodes to Rerun recordings (.rrd): look at them with `rerun FILE.rrd`.

Time runs on the timeline "time", from the first row. Per episode: the cameras' own JPEGs under camera/, measured joints
and actions as scalars under joint/, ground-truth objects as boxes under object/, phases and the instruction as text.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from tqdm import tqdm

from piper_bringup.data import episode_files, layouts, names
from piper_bringup.data.episode import Episode
from piper_bringup.look import draw, entities
from piper_bringup.look.output import OutputError, run_program, target, whole

APPLICATION = "piper_episode"


@dataclass(frozen=True)
class Args:
    """Rerun recordings of episodes."""

    data: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Episode files, or folders of them."""
    out: Path = Path("out/look")
    """Folder for the results; one .rrd an episode, in the folder of its task."""


def export(episode: Episode, path: Path, rr: Any) -> None:
    """Write `episode` to `path`, whole or not at all. `rr` is the rerun module."""
    # The same episode is the same recording for the viewer, however often it is exported.
    recording = rr.RecordingStream(APPLICATION, recording_id=f"{episode.task}-{path.stem}")
    with whole(path) as partial:
        recording.save(partial)
        _log(episode, recording, rr)
        recording.flush()
        recording.disconnect()


def _log(episode: Episode, recording: Any, rr: Any) -> None:
    recording.log("episode", rr.TextDocument(f"{draw.title(episode)}\n\n{episode.instruction}"), static=True)
    time = rr.TimeColumn(entities.TIMELINE, duration=draw.seconds(episode))
    for column, joint in enumerate(names.JOINTS):
        for name in ("state", "action"):
            values = rr.Scalars.columns(scalars=getattr(episode, name)[:, column])
            recording.send_columns(entities.joint(joint, name), [time], values)
    for camera, frames in episode.images.items():
        taken = rr.TimeColumn(entities.TIMELINE, duration=(episode.image_t_ns[camera] - episode.t_ns[0]) * 1e-9)
        jpegs = rr.EncodedImage.columns(blob=list(frames), media_type=["image/jpeg"] * len(frames))
        recording.send_columns(entities.camera(camera), [taken], jpegs)
    _phases(episode, recording, rr)
    _objects(episode, recording, time, rr)


def _phases(episode: Episode, recording: Any, rr: Any) -> None:
    """A line of text where a phase begins."""
    if episode.phase is None:
        return
    begins = [0, *(np.flatnonzero(np.diff(episode.phase)) + 1).tolist()]
    time = rr.TimeColumn(entities.TIMELINE, duration=draw.seconds(episode)[begins])
    texts = rr.TextLog.columns(text=[draw.phase_at(episode, row) for row in begins])
    recording.send_columns("phase", [time], texts)


def _objects(episode: Episode, recording: Any, time: Any, rr: Any) -> None:
    """A box that moves for every slot in use (cell.world.SLOT_FIELDS: valid, position, two columns, size)."""
    for slot in range(0 if episode.objects is None else episode.objects.shape[1]):
        rows = episode.objects[:, slot]
        if not rows[0, 0]:
            continue
        first, second = rows[:, 4:7], rows[:, 7:10]
        matrices = np.stack([first, second, np.cross(first, second)], axis=2)
        columns_first = matrices.transpose(0, 2, 1)  # Rerun takes matrices column by column
        moves = rr.Transform3D.columns(translation=rows[:, 1:4], mat3x3=columns_first.reshape(-1, 9))
        recording.log(f"object/{slot}", rr.Boxes3D(half_sizes=[rows[0, 10:13] / 2]), static=True)
        recording.send_columns(f"object/{slot}", [time], moves)


def run(args: Args) -> int:
    """Export every episode."""
    try:
        import rerun as rr
    except ImportError as error:
        raise OutputError(f"the export needs Rerun ({error}): pip install {entities.REQUIREMENT}") from error
    paths = episode_files.find(args.data)
    for path in tqdm(paths, unit="episode", disable=len(paths) == 1):
        episode = layouts.load(path)
        recording = target(args.out / episode.task, path.stem, "rrd")
        try:
            export(episode, recording, rr)
        except (OSError, RuntimeError) as error:
            raise OutputError(f"{recording} not written: {error}") from error
    print(f"{len(paths)} episodes in {args.out}; look at one: rerun {recording}", file=sys.stdout)
    return 0


if __name__ == "__main__":
    run_program(run, Args, "rerun")
