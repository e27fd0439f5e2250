"""Audits bags that lie on the disk, whoever recorded them.

    python -m piper_bringup.record.check BAG [BAG ...]

What is expected comes from the contract in the bag, where there is one, else from the defaults of expected.Expected.
Raw images count as their camera's pictures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro
from rosbags.rosbag2 import Reader
from tqdm import tqdm

from piper_bringup.data import names, topics
from piper_bringup.record.audit import Audit, Verdict
from piper_bringup.record.expected import Expected, expected_of
from piper_bringup.record.table import render
from piper_bringup.seen.report import make_console

CAMERA_OF = {names.image_topic(camera): topics.compressed_topic(camera) for camera in names.CAMERAS}


@dataclass(frozen=True)
class Args:
    """Audit bags: counts, rates, gaps, stamps, joints, cameras."""

    bags: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the bags."""


class CheckError(ValueError):
    """The bag cannot be read; one sentence."""


def check(bag: Path, *, quiet: bool = True) -> Verdict:
    """The verdict on the bag in folder `bag`. Raises CheckError."""
    with _blaming(bag):
        reader = Reader(bag)
        reader.open()
    try:
        with _blaming(bag):
            audit = Audit(expected_in(reader.storage.metadata.custom or {}), reader.start_time)
            ended_ns, total = reader.end_time, reader.message_count
        for topic, log_ns, data in tqdm(_messages(bag, reader), total=total, disable=quiet):
            audit.add(CAMERA_OF.get(topic, topic), log_ns, data)
        return audit.judge(ended_ns)
    finally:
        reader.close()


def _messages(bag: Path, reader: Reader) -> Iterator[tuple[str, int, bytes]]:
    source = reader.messages()
    while True:
        with _blaming(bag):
            item = next(source, None)
        if item is None:
            return
        yield item[0].topic, item[1], item[2]


@contextmanager
def _blaming(bag: Path) -> Iterator[None]:
    """Turn whatever reading stumbles over into a CheckError; for calls of rosbags alone.

    The parsers of rosbags, YAML and the storages raise what damaged bytes make of them, MemoryError and
    UnicodeDecodeError among it, so no list of them would be complete.
    """
    try:
        yield
    except CheckError:
        raise
    except Exception as error:
        said = " ".join(f"{error}".split()).rstrip(".") or type(error).__name__
        raise CheckError(
            f"{bag} cannot be read: {said}; where its recording was cut off, "
            f"python -m piper_bringup.record.repair {bag} makes it whole"
        ) from error


def expected_in(custom: Mapping[str, str]) -> Expected:
    """What the contract in custom_data expects. Raises CheckError."""
    try:
        return expected_of(json.loads(custom.get(topics.CONTRACT, "{}")).get("expected", {}))
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckError(f"custom_data {topics.CONTRACT!r} of metadata.yaml does not read: {error}") from error


def main(args: Args) -> None:
    """Print a table for every bag; exit code 1 when one is not a good episode."""
    console, bad = make_console(), False
    for bag in args.bags:
        try:
            verdict = check(bag, quiet=not sys.stderr.isatty())
        except CheckError as error:
            bad = True
            print(error, file=sys.stderr)
            continue
        bad |= not verdict.good
        console.print(render(verdict, str(bag)))
    sys.exit(bad)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m piper_bringup.record.check"))
