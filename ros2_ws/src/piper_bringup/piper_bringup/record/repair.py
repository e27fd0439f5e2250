"""Makes a bag whole whose recording was cut off: killed, out of power, out of disk.

    python -m piper_bringup.record.repair BAG [BAG ...]

BAG is the folder (of this recorder, or of `ros2 bag record`), or an .mcap file: it stands for its folder, or without
a metadata.yaml there for itself. Every whole message is kept, the file gets its index and the folder its
metadata.yaml. What was left is audited as by `check`: custom_data says under "audit" what came of it and under
"repaired" that it was cut; whether the task succeeded, a person says to the conversion (--outcome).
A bag that is whole is left as it is.
"""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tyro
import yaml
from tqdm import tqdm

from piper_bringup.data import topics
from piper_bringup.record import ending, metadata
from piper_bringup.record.heard import Heard
from piper_bringup.record.metadata import Channel
from piper_bringup.record.places import RECORDING, bad, good
from piper_bringup.record.salvage import SalvageError, scan
from piper_bringup.record.scanned import Scan
from piper_bringup.record.writer import BEGINNING, DISTRO, END, RESERVE, SERIALIZED

ENDING = ".mcap"


@dataclass(frozen=True)
class Repaired:
    """What was done."""

    bag: Path  # where it is now
    messages: int
    changed: bool
    notes: tuple[str, ...] = ()  # damage, one sentence each

    @property
    def text(self) -> str:
        """One sentence."""
        if not self.changed:
            return f"{self.bag} is whole: {self.messages} messages, nothing was changed"
        return "; ".join((f"{self.bag} is whole again: {self.messages} messages", *self.notes))


@dataclass(frozen=True)
class Args:
    """Make cut bags whole: every whole message is kept."""

    bags: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the bags, or .mcap files."""


def repair(bag: Path, custom: dict[str, str] | None = None, *, quiet: bool = True) -> Repaired:
    """Make the bag `bag` whole; `custom`: custom_data to give it, instead of what its file says.

    A folder named as being recorded gets its final name.
    Raises SalvageError (no bag, or still being recorded: nothing changed) and OSError (no room for the index:
    the data is kept).
    """
    alone = _is_alone(bag)
    folder = bag.parent if bag.is_file() and bag.suffix == ENDING else bag
    files = [bag] if alone else sorted(folder.glob(f"*{ENDING}"))
    if not files:
        raise SalvageError(f"{bag} holds no .mcap file: not the folder of a bag that can be repaired")
    for file in files:
        _refuse_if_recorded(file)
    (folder / RESERVE).unlink(missing_ok=True)
    with _blaming(bag):
        heard = Heard(folder)
        scans = {file: one for file in files if (one := _scan(file, heard, quiet)).begun}
        if not scans:
            raise SalvageError(f"{bag} was cut before its first message: there is nothing to repair")
        messages = sum(one.content.messages for one in scans.values())
        if all(one.complete for one in scans.values()) and (alone or metadata.count_of(folder) == messages):
            return Repaired(bag, messages, changed=False)
        content = _content(folder, scans, heard, custom)
    for file, one in scans.items():
        if not one.complete:
            ending.end(file, one, END, {SERIALIZED: yaml.safe_dump(content, sort_keys=False)})
    notes = tuple(note for one in scans.values() for note in (one.damaged, *one.left_out) if note)
    if alone:
        return Repaired(bag, messages, changed=True, notes=notes)
    metadata.save(folder, content)
    return Repaired(_named(folder, content["custom_data"]), messages, changed=True, notes=notes)


def _is_alone(bag: Path) -> bool:
    """An .mcap file that no folder of a bag is around."""
    folder = bag.parent
    in_bag = (folder / metadata.FILE).exists() or (folder / RESERVE).exists() or folder.suffix == RECORDING
    return bag.is_file() and bag.suffix == ENDING and not in_bag


@contextmanager
def _blaming(bag: Path) -> Iterator[None]:
    """Turn whatever damaged bytes make the parsers of mcap, YAML and zstd raise into one sentence."""
    try:
        yield
    except (SalvageError, OSError):
        raise
    except Exception as error:  # UnicodeDecodeError, MemoryError, struct.error, McapError...: no list is complete
        said = " ".join(f"{error}".split()).rstrip(".") or type(error).__name__
        raise SalvageError(f"{bag} is too damaged to be repaired ({said}); nothing was changed") from error


def _refuse_if_recorded(path: Path) -> None:
    """The recorder locks its file as long as it lives."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SalvageError(f"{path} is still being recorded: end the recording first") from None


def _scan(file: Path, heard: Heard, quiet: bool) -> Scan:
    with tqdm(total=file.stat().st_size, desc=file.name, unit="B", unit_scale=True, disable=quiet) as bar:
        return scan(file, bar.update, heard)


def _content(folder: Path, scans: dict[Path, Scan], heard: Heard, custom: dict[str, str] | None) -> dict[str, object]:
    """Of metadata.yaml, with `custom` as its custom_data or else what is known of the recording."""
    channels = _channels(scans.values())
    if custom is None:
        custom = _custom(folder, scans.values(), heard.verdict([channel.topic for channel in channels]))
    contents = {file.name: one.content for file, one in scans.items()}
    return metadata.information(channels, contents, custom, DISTRO, by_message=heard.compressed)


def _custom(bag: Path, scans: Iterable[Scan], audit: str) -> dict[str, str]:
    """What the recorder said at its end, or else what it knew at the start and what is left of the recording."""
    records = {index.name: data for one in scans for index, data in one.metadata}
    if END in records and BEGINNING in records:
        return dict(yaml.safe_load(records[END][SERIALIZED])["custom_data"])
    known = records.get(BEGINNING) or metadata.custom_of(bag)
    return {**known, topics.OUTCOME: topics.UNKNOWN, topics.AUDIT: audit, topics.REPAIRED: "true"}


def _channels(scans: Iterable[Scan]) -> list[Channel]:
    found: dict[str, Channel] = {}
    for one in scans:
        for channel in one.channels.values():
            schema = one.schemas.get(channel.schema_id)
            profiles = yaml.safe_load(channel.metadata.get(metadata.QOS, "")) or []
            digest = channel.metadata.get(metadata.DIGEST, "")
            kind = schema.name if schema else ""
            found[channel.topic] = Channel(channel.topic, kind, digest, profiles, channel.message_encoding)
    return list(found.values())


def _named(bag: Path, custom: dict[str, str]) -> Path:
    """The final name of a folder that was being recorded."""
    if bag.suffix != RECORDING:
        return bag
    return good(bag) if custom.get(topics.AUDIT) == topics.AUDIT_PASSED else bad(bag)


def main(args: Args) -> None:
    """Repair one bag after the other; exit code 1 when one could not be."""
    failed = False
    for bag in args.bags:
        try:
            print(repair(bag, quiet=not sys.stderr.isatty()).text)
        except SalvageError as error:
            failed = True
            print(error, file=sys.stderr)
        except OSError as error:
            failed = True
            print(f"{bag} could not be repaired: {error}; what it holds was kept", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m piper_bringup.record.repair"))
