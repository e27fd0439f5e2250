"""RoboTwin 2.0 in its own environment, asked over a socket; `link.py` starts this and is the other end.

    python worker.py --root ROBOTWIN_ROOT --socket PATH [--shader default] [--planner none]

Runs in the Python that RoboTwin is installed in (3.10, no ROS), which also needs numpy, PyYAML and msgpack. Somebody
listens at PATH. What the program prints, its C code included, goes to stderr. Ends when the other end does.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

# A script's folder leads the path, where our names would hide others'. Ours come last instead.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
sys.path.append(str(Path(__file__).resolve().parents[2]))

try:
    from piper_bringup.robotwin import protocol
    from piper_bringup.robotwin.commands import Commands, answer
    from piper_bringup.robotwin.phase import PhaseError
    from piper_bringup.robotwin.substitutes import PLANNERS, SHADERS, Substitutes
except ImportError as missing:
    sys.exit(f"worker: {sys.executable} lacks {missing.name}: pip install numpy pyyaml msgpack there")


# The kernel ends this process with its starter, but not what RoboTwin started: planners would stay behind.
GUARD = """
import os, sys, time
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.2)
os.killpg(0, 9)
"""


def guard() -> None:
    """Start who kills the rest of this process group when this process is gone, where the group is ours to kill."""
    if os.getpgrp() == os.getpid():
        subprocess.Popen([sys.executable, "-S", "-E", "-c", GUARD, str(os.getpid())], stdin=subprocess.DEVNULL)


def serve(sock: socket.socket, commands: Commands) -> None:
    """Answer requests until one is close or the other end is gone. Raises FrameError for what is no request."""
    while True:
        try:
            request = protocol.receive(sock)
        except (EOFError, ConnectionError):
            return
        try:
            frame = protocol.pack(answer(commands, request))
        except protocol.FrameError as error:
            frame = protocol.pack({"error": PhaseError("answer", error).data()})
        try:
            protocol.send(sock, frame)
        except ConnectionError:
            return
        if request.get("command") == "close":
            return


def main() -> None:
    """Connects, then serves from the checkout's folder: RoboTwin's paths are relative."""
    parser = argparse.ArgumentParser(description="RoboTwin 2.0 over a socket")
    parser.add_argument("--root", type=Path, required=True, help="folder of the RoboTwin checkout")
    parser.add_argument("--socket", required=True, help="where somebody listens for this worker")
    parser.add_argument("--shader", choices=SHADERS, default=SHADERS[0], help="default: no ray tracing")
    parser.add_argument("--planner", choices=PLANNERS, default=PLANNERS[0], help="none: no expert, no ee actions")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), 1)
    guard()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(arguments.socket)
            os.chdir(root)
        except OSError as error:
            sys.exit(f"worker: cannot start with {arguments.socket} and {root}: {error}")
        try:
            serve(sock, Commands(root, Substitutes(arguments.shader, arguments.planner)))
        except protocol.FrameError as error:
            sys.exit(f"worker: {error}")


if __name__ == "__main__":
    main()
