"""screen: one line written anew on a terminal, and nothing of it anywhere else."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from piper_bringup.screen import Screen

WIDTH = 40
AGAIN = "\r\x1b[K"


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm") -> Iterator[tuple[int, Callable[[], str]]]:
    """A real terminal as standard output: its other end, and what was written to it. Not a fixture: pytest sets
    standard output anew between those and the test."""
    leader, follower = pty.openpty()
    stream = os.fdopen(follower, "w")

    def written() -> str:
        """Up to now: the kernel delivers in its own time, so to a mark."""
        stream.write("\0")
        stream.flush()
        text = ""
        while not text.endswith("\0"):
            text += os.read(leader, 65536).decode()
        return text[:-1]

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setenv("TERM", kind)
        patch.setenv("COLUMNS", str(WIDTH))
        yield leader, written
    with suppress(OSError):  # the other end may be gone
        stream.close()


def test_the_live_line_stays_below_what_is_said(monkeypatch):
    log = io.StringIO()
    with terminal(monkeypatch) as (leader, written):
        screen = Screen(log)
        screen.live("one")
        screen.say("cell", "hello")
        screen.live("two")
        screen.live("")
        assert written() == f"{AGAIN}one{AGAIN}        cell | hello\r\none{AGAIN}two{AGAIN}"
    os.close(leader)
    assert log.getvalue() == "        cell | hello\n"


def test_a_long_line_is_cut_so_that_it_can_be_written_anew(monkeypatch):
    with terminal(monkeypatch) as (leader, written):
        Screen(io.StringIO()).live("x" * 3 * WIDTH)
        assert written() == AGAIN + "x" * (WIDTH - 1)
    os.close(leader)


def test_a_terminal_that_cannot_go_back_has_no_live_line(monkeypatch):
    with terminal(monkeypatch, "dumb") as (leader, written):
        screen = Screen(io.StringIO())
        screen.live("one")
        screen.say("cell", "hello")
        assert written() == "        cell | hello\r\n"
    os.close(leader)


def test_what_is_no_terminal_has_no_live_line(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        screen = Screen(io.StringIO())
        screen.live("one")
        screen.say("cell", "hello")
        assert sys.stdout.getvalue() == "        cell | hello\n"


def test_a_terminal_that_went_away_keeps_nobody(monkeypatch):
    log = io.StringIO()
    with terminal(monkeypatch) as (leader, _):
        screen = Screen(log)
        os.close(leader)
        screen.live("one")
        for _ in range(2):
            screen.say("cell", "hello")
        screen.live("two")
    assert log.getvalue() == 2 * "        cell | hello\n"
