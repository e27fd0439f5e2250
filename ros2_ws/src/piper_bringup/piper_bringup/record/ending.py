"""Gives a cut MCAP file its end, in place: gigabytes need not be copied, and a full disk has room for it.

Whole chunks stay untouched. The last one, cut, keeps its whole messages where they are: only its header changes and
what follows the last whole message goes. Killed in between, the next repair does the same again.
"""

from __future__ import annotations

import os
import shutil
import zlib
from pathlib import Path
from typing import BinaryIO

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Chunk,
    DataEnd,
    Footer,
    McapRecord,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC

from piper_bringup.record.scanned import HEAD, Scan, index_of

REST = ".rest"  # suffix of the file with the bytes behind damage


def end(path: Path, scan: Scan, name: str, data: dict[str, str]) -> None:
    """Write the end that `scan` of `path` found missing, with one metadata record more: `name`, `data`.

    Bytes that no cut explains are kept beside the file. Raises OSError; the data stays readable by another try.
    """
    with path.open("r+b") as file:
        if scan.damaged:
            _keep_rest(file, scan.end, path)
        at = scan.end
        if scan.torn is not None:
            at = _end_torn(file, scan)
        elif scan.chunks and set(scan.chunks[-1].message_index_offsets) != set(scan.last_index):
            at = _end_index(file, scan)
        summary = _metadata(scan, at, name, data)
        summary += _summary(scan, at + len(summary))
        file.seek(at)
        file.write(summary)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _keep_rest(file: BinaryIO, start: int, path: Path) -> None:
    file.seek(start)
    with path.with_name(path.name + REST).open("wb") as rest:
        shutil.copyfileobj(file, rest)
        rest.flush()
        os.fsync(rest.fileno())


def _end_torn(file: BinaryIO, scan: Scan) -> int:
    """Make a whole chunk of the cut one; the offset behind its indexes."""
    torn = scan.torn
    times = [log_ns for messages in torn.index.values() for log_ns, _ in messages]
    chunk = Chunk(
        compression="",
        data=torn.records,
        message_end_time=max(times),
        message_start_time=min(times),
        uncompressed_crc=zlib.crc32(torn.records),
        uncompressed_size=len(torn.records),
    )
    record = _bytes(chunk)
    scan.chunks.append(index_of(chunk, torn.start, len(record)))
    scan.last_index = torn.index
    file.seek(torn.start)
    file.write(record)
    file.truncate()
    return _end_index(file, scan)


def _end_index(file: BinaryIO, scan: Scan) -> int:
    """Write the message indexes of the last chunk anew; the offset behind them."""
    chunk = scan.chunks[-1]
    at = chunk.chunk_start_offset + chunk.chunk_length
    builder = RecordBuilder()
    for channel, messages in scan.last_index.items():
        chunk.message_index_offsets[channel] = at + builder.count
        MessageIndex(channel, messages).write(builder)
    chunk.message_index_length = builder.count
    indexes = builder.end()
    file.seek(at)
    file.write(indexes)
    return at + len(indexes)


def _metadata(scan: Scan, at: int, name: str, data: dict[str, str]) -> bytes:
    record = _bytes(Metadata(name, data))
    scan.metadata.append((MetadataIndex(at, len(record), name), data))
    return record


def _summary(scan: Scan, at: int) -> bytes:
    """DataEnd, summary, footer and magic of a file whose data ends at `at`."""
    data_end = _bytes(DataEnd(0))
    start = at + len(data_end)
    builder, offsets = RecordBuilder(), []
    groups: tuple[tuple[Opcode, list[McapRecord]], ...] = (
        (Opcode.SCHEMA, list(scan.schemas.values())),
        (Opcode.CHANNEL, list(scan.channels.values())),
        (Opcode.STATISTICS, [_statistics(scan)]),
        (Opcode.CHUNK_INDEX, list(scan.chunks)),
        (Opcode.METADATA_INDEX, [index for index, _ in scan.metadata]),
    )
    for opcode, records in groups:
        group = builder.count
        for record in records:
            record.write(builder)
        if records:
            offsets.append(SummaryOffset(opcode, start + group, builder.count - group))
    offsets_start = start + builder.count
    for offset in offsets:
        offset.write(builder)
    summary = builder.end()
    head = HEAD.pack(Opcode.FOOTER, 20) + start.to_bytes(8, "little") + offsets_start.to_bytes(8, "little")
    footer = Footer(start, offsets_start, zlib.crc32(head, zlib.crc32(summary)))
    return data_end + summary + _bytes(footer) + MCAP0_MAGIC


def _statistics(scan: Scan) -> Statistics:
    return Statistics(
        attachment_count=scan.attachments,
        channel_count=len(scan.channels),
        channel_message_counts=dict(scan.counts),
        chunk_count=len(scan.chunks),
        message_count=sum(scan.counts.values()),
        message_end_time=scan.content.last_ns or 0,
        message_start_time=scan.content.first_ns or 0,
        metadata_count=len(scan.metadata),
        schema_count=len(scan.schemas),
    )


def _bytes(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()
