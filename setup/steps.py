"""Running a step of the set-up: its time on the screen, its output in a log, its failure in one sentence."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GRACE_S = 10.0  # between asking a child to end and killing it


class SetupError(Exception):
    """One sentence: what went wrong, and what to do."""


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Print title, and the seconds it took once it is done."""
    print(f"setup: {title} ...", flush=True)
    start = time.monotonic()
    yield
    print(f"setup: {title}: {time.monotonic() - start:.0f} s", flush=True)


def run(command: list[str], log: Path, env: dict[str, str], keep_open: int) -> None:
    """Run command with its output in log, which is named after the program.

    keep_open is the descriptor of the lock: a child that outlives a killed set-up goes on holding it.
    Raises SetupError with a sentence made from the log when the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        start = output.tell()
        child = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(keep_open,),
        )
        try:
            status = child.wait()
        except BaseException:
            _end(child)
            raise
    if status != 0:
        text = log.read_bytes()[start:].decode(errors="replace")
        raise SetupError(f"{explain(text, log.stem)} Everything it said is in {log}.")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child and all it started, so that nothing writes on after us. A second Ctrl-C changes nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for sig, wait_s in ((signal.SIGINT, GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, sig)
            child.wait(wait_s)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Max retries exceeded|ProxyError"
    r"|SSLError|\(from versions: none\)"
    r"|Temporary failure (?:in name resolution|resolving)|Could not resolve|Network is unreachable"
    r"|Failed to fetch|IncompleteRead|ProtocolError|Connection (?:refused|reset|timed out)",
)


def explain(text: str, program: str) -> str:
    """Why a command failed, from what it printed: one sentence with what to do."""
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return "The disk is full: free some space (about 2 GB), then run setup/bootstrap again."
    if _NETWORK.search(text):
        return "The packages could not be downloaded: check the network, then run setup/bootstrap again."
    first = re.search(r"^.*\berror: .*$", text, re.IGNORECASE | re.MULTILINE)
    reason = f" ({first.group().strip()})" if first else ""
    return f"{program} failed{reason}: put that right, then run setup/bootstrap again."
