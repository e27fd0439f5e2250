"""What every worker does whatever it runs: connects, answers one request after another, ends when the other end does.

Python 3.8, numpy and msgpack only: workers import it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from piper_bringup.robotwin import protocol
from piper_bringup.robotwin.phase import PhaseError, phase

# The kernel ends this process with its starter, but not what the program started: planners would stay behind.
GUARD = """
import os, sys, time
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.2)
os.killpg(0, 9)
"""


def run(address: str, root: Path, known: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Connect to who listens at `address` and serve from the folder `root`; ends the process where it cannot.

    known: what can be asked by name, see `answer`. What this process prints, its C code included, goes to stderr.
    """
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), 1)
    guard()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(address)
            os.chdir(root)
        except OSError as error:
            sys.exit(f"worker: cannot start with {address} and {root}: {error}")
        try:
            serve(sock, known)
        except protocol.FrameError as error:
            sys.exit(f"worker: {error}")


def guard() -> None:
    """Start who kills the rest of this process group when this process is gone, where the group is ours to kill."""
    if os.getpgrp() == os.getpid():
        subprocess.Popen([sys.executable, "-S", "-E", "-c", GUARD, str(os.getpid())], stdin=subprocess.DEVNULL)


def serve(sock: socket.socket, known: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer requests until one is close or the other end is gone. Raises FrameError for what is no request."""
    while True:
        try:
            request = protocol.receive(sock)
        except (EOFError, ConnectionError):
            return
        try:
            frame = protocol.pack(answer(known, request))
        except protocol.FrameError as error:
            frame = protocol.pack({"error": PhaseError("answer", error).data()})
        try:
            protocol.send(sock, frame)
        except ConnectionError:
            return
        if request.get("command") == "close":
            return


def answer(known: Mapping[str, Callable[..., dict[str, Any]]], request: dict[str, Any]) -> dict[str, Any]:
    """What goes back over the socket for `request`: a result, or whatever was raised with its phase.

    The phase is request for what is no request.
    """
    try:
        with phase("request"):
            name, arguments = request.get("command"), request.get("arguments")
            if name not in known:
                raise ValueError(f"command is {name!r}; valid: {', '.join(known)}")
            return {"ok": known[name](**arguments)}
    except PhaseError as error:
        return {"error": error.data()}
