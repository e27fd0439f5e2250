"""What repair hears of a cut bag's messages: the audit of what is left, and whether each of them is compressed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import zstandard

from piper_bringup.data.bag.reader import is_compressed, plain
from piper_bringup.record import metadata
from piper_bringup.record.audit import Audit
from piper_bringup.record.check import CAMERA_OF, expected_in
from piper_bringup.record.scanned import Scan
from piper_bringup.record.writer import BEGINNING

NOTHING_HEARD = "it holds no message"


class Heard:
    """Told of every message that a scan finds.

    What is expected is said at the beginning of a file, or is the default; of a bag that another program recorded,
    nothing is expected but the topics that it has.
    """

    def __init__(self, bag: Path) -> None:
        self.compressed = False  # message by message: rosbag2's compression mode "message"
        self._bag = bag
        self._audit: Audit | None = None
        self._foreign = False
        self._last_ns = 0

    def __call__(self, scan: Scan, topic: str, log_ns: int, data: bytes) -> None:
        """One message more."""
        if self._audit is None:
            known = {index.name: said for index, said in scan.metadata}.get(BEGINNING, {})
            self._foreign = not known
            self._audit = Audit(expected_in(known or metadata.custom_of(self._bag)), log_ns)
        if is_compressed(data):
            self.compressed, data = True, _decompressed(data)
        self._audit.add(CAMERA_OF.get(topic, topic), log_ns, data)
        self._last_ns = max(self._last_ns, log_ns)

    def verdict(self, topics: Collection[str]) -> str:
        """On a bag that has `topics`."""
        if self._audit is None:
            return NOTHING_HEARD
        verdict = self._audit.judge(self._last_ns)
        if self._foreign:
            there = {CAMERA_OF.get(topic, topic) for topic in topics}
            verdict = replace(verdict, rows=tuple(row for row in verdict.rows if row.topic in there))
        return verdict.text


def _decompressed(data: bytes) -> bytes:
    try:
        return plain(data)
    except zstandard.ZstdError:
        return data  # the audit says that it does not read
