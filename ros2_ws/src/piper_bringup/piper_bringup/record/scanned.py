"""What an MCAP file holds, taken from it record by record; of a chunk that is cut, what its whole messages are.

Records themselves are read by the classes of the `mcap` library.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex, Message, MessageIndex, Metadata, MetadataIndex, Schema

from piper_bringup.record.metadata import Content

HEAD = struct.Struct("<BQ")
CHUNK_HEAD = struct.Struct("<QQQI")  # first and last log time, uncompressed size, checksum
OPCODES = frozenset(int(opcode) for opcode in Opcode)
# What the record classes of mcap make of damaged bytes.
UNREADABLE = (McapError, ValueError, struct.error, LookupError, OverflowError, MemoryError)
_MESSAGE_HEAD = 22

Hear = Callable[["Scan", str, int, bytes], None]


@dataclass
class Torn:
    """The last chunk, cut: its whole records, uncompressed."""

    start: int  # of the chunk record in the file
    records: bytes
    index: dict[int, list[tuple[int, int]]]  # channel -> (log time, offset in records)


@dataclass
class Scan:
    """What a file holds. Offsets in bytes."""

    begun: bool = False  # there is a header
    end: int = 0  # whole records up to here, those of a summary left out
    complete: bool = False  # footer and end magic are there
    damaged: str = ""  # why reading stopped before the end, when it was not a mere cut
    torn: Torn | None = None
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    chunks: list[ChunkIndex] = field(default_factory=list)
    last_index: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # of the last chunk
    metadata: list[tuple[MetadataIndex, dict[str, str]]] = field(default_factory=list)
    attachments: int = 0
    content: Content = field(default_factory=Content)
    counts: dict[int, int] = field(default_factory=dict)  # messages by channel
    hear: Hear | None = None  # told of every message
    left_out: list[str] = field(default_factory=list)  # chunks whose checksum differs

    def take(self, channel: int, log_ns: int, data: bytes) -> None:
        """A message more."""
        if self.hear is not None:
            self.hear(self, self.channels[channel].topic, log_ns, data)
        self.counts[channel] = self.counts.get(channel, 0) + 1
        self.content.add(self.channels[channel].topic, log_ns)


def take(found: Scan, opcode: int, body: bytes) -> None:
    """Take a record that the file holds whole, at `found.end`. Raises one of UNREADABLE for damaged bytes."""
    stream = ReadDataStream(BytesIO(body))
    if opcode == Opcode.HEADER:
        found.begun = True
    elif opcode == Opcode.CHUNK:
        _take_chunk(found, Chunk.read(stream), len(body))
    elif opcode == Opcode.MESSAGE_INDEX and found.chunks:
        _take_index(found, MessageIndex.read(stream), len(body))
    elif opcode == Opcode.METADATA:
        record = Metadata.read(stream)
        found.metadata.append((MetadataIndex(found.end, HEAD.size + len(body), record.name), record.metadata))
    elif opcode == Opcode.ATTACHMENT:
        found.attachments += 1
    else:
        _take_plain(found, opcode, body)


def _take_chunk(found: Scan, chunk: Chunk, length: int) -> None:
    found.last_index = {}
    records = _decompress(chunk.compression, chunk.data)
    wrong = chunk.uncompressed_crc and zlib.crc32(records) != chunk.uncompressed_crc
    if wrong or len(records) != chunk.uncompressed_size:
        found.left_out.append(f"the chunk at byte {found.end} ({len(chunk.data)} bytes) differs from its checksum")
        return
    _, found.last_index = _take_records(found, records)
    found.chunks.append(index_of(chunk, found.end, HEAD.size + length))


def _take_index(found: Scan, index: MessageIndex, length: int) -> None:
    chunk = found.chunks[-1]
    if found.end == chunk.chunk_start_offset + chunk.chunk_length + chunk.message_index_length:
        chunk.message_index_offsets[index.channel_id] = found.end
        chunk.message_index_length += HEAD.size + length


def torn(found: Scan, body: bytes) -> Torn | None:
    """What is left of a chunk record whose body ends early; None without a whole message."""
    if len(body) < CHUNK_HEAD.size + 4:
        return None
    (name_length,) = struct.unpack_from("<I", body, CHUNK_HEAD.size)
    data_at = CHUNK_HEAD.size + 4 + name_length + 8
    compression = body[CHUNK_HEAD.size + 4 : data_at - 8].decode(errors="replace")
    records = _decompress(compression, body[data_at:])
    size, index = _take_records(found, records)
    return Torn(found.end, records[:size], index) if index else None


def _take_records(found: Scan, records: bytes) -> tuple[int, dict[int, list[tuple[int, int]]]]:
    """Take the whole records in the bytes of a chunk; how many bytes they are, and the messages' index."""
    index: dict[int, list[tuple[int, int]]] = {}
    whole = 0
    for at, opcode, body in _records(records):
        message = _take_plain(found, opcode, body)
        if message is not None:
            index.setdefault(message[0], []).append((message[1], at))
        whole = at + HEAD.size + len(body)
    return whole, index


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + HEAD.size <= len(data):
        opcode, length = HEAD.unpack_from(data, at)
        if opcode not in OPCODES or at + HEAD.size + length > len(data):
            return
        yield at, opcode, data[at + HEAD.size : at + HEAD.size + length]
        at += HEAD.size + length


def _take_plain(found: Scan, opcode: int, body: bytes) -> tuple[int, int] | None:
    """A schema, channel or message; channel and log time of a message."""
    stream = ReadDataStream(BytesIO(body))
    if opcode == Opcode.SCHEMA:
        schema = Schema.read(stream)
        found.schemas[schema.id] = schema
    elif opcode == Opcode.CHANNEL:
        channel = Channel.read(stream)
        found.channels[channel.id] = channel
        found.content.counts.setdefault(channel.topic, 0)
    elif opcode == Opcode.MESSAGE and len(body) >= _MESSAGE_HEAD:
        message = Message.read(ReadDataStream(BytesIO(body[:_MESSAGE_HEAD])), _MESSAGE_HEAD)
        if message.channel_id in found.channels:
            found.take(message.channel_id, message.log_time, body[_MESSAGE_HEAD:])
            return message.channel_id, message.log_time
    return None


def _decompress(compression: str, data: bytes) -> bytes:
    """As much as the bytes give: a cut stream gives what its whole blocks hold, a damaged one nothing."""
    try:
        if compression == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if compression == "lz4":
            return lz4.frame.LZ4FrameDecompressor().decompress(data)
    except (zstandard.ZstdError, RuntimeError):  # lz4 raises RuntimeError
        return b""
    return data


def index_of(chunk: Chunk, start: int, length: int) -> ChunkIndex:
    """The index of a chunk whose record of `length` bytes begins at byte `start`; message indexes come later."""
    return ChunkIndex(
        chunk_length=length,
        chunk_start_offset=start,
        compression=chunk.compression,
        compressed_size=len(chunk.data),
        message_end_time=chunk.message_end_time,
        message_index_length=0,
        message_index_offsets={},
        message_start_time=chunk.message_start_time,
        uncompressed_size=chunk.uncompressed_size,
    )
