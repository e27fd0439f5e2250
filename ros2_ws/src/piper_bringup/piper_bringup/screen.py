"""What a person sees while a run goes on: lines of all processes, and below them one that is written anew in place."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import TextIO

_AGAIN = "\r\x1b[K"  # to the first column, and nothing right of it


class Screen:
    """Lines prefixed with who said them, to the terminal and to a file; the live line to a terminal alone."""

    def __init__(self, log: TextIO) -> None:
        self._outs = [sys.stdout, log]
        self._lock = threading.Lock()
        self._in_place = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._live = ""

    def say(self, name: str, line: str) -> None:
        """A terminal that went away is left out from then on: nobody may wait for it."""
        with self._lock:
            for out in tuple(self._outs):
                live = self._live if out is sys.stdout else ""
                self._write(out, f"{_AGAIN if live else ''}{name:>12} | {line}\n{live}")

    def live(self, text: str) -> None:
        """Write the lowest line anew, as much of it as fits; empty removes it. Without a terminal there is none."""
        if not self._in_place:
            return
        with self._lock:
            self._live = text[: shutil.get_terminal_size().columns - 1]
            if sys.stdout in self._outs:
                self._write(sys.stdout, _AGAIN + self._live)

    def _write(self, out: TextIO, text: str) -> None:
        try:
            out.write(text)
            out.flush()
        except OSError:
            self._outs.remove(out)
