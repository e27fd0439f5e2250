"""One step of the set-up: what it runs in, what becomes of its children, and what it says when it fails."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from steps import SetupError, explain, run


@pytest.fixture
def lock(tmp_path: Path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def signals():
    """Put the handlers back that a step replaces when it is interrupted."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_output_goes_to_the_log_and_the_environment_is_the_one_given(tmp_path, lock):
    log = tmp_path / "logs" / "step.log"
    run(["/bin/sh", "-c", "echo $COLOUR; echo aside >&2"], log, {"COLOUR": "green"}, lock)
    assert log.read_text().splitlines()[-2:] == ["green", "aside"]


def test_a_failure_names_the_step_its_first_error_and_the_log(tmp_path, lock):
    log = tmp_path / "step.log"
    run(["/bin/sh", "-c", "echo error: of an earlier run"], log, {}, lock)
    with pytest.raises(SetupError, match=r"step failed \(error: flux\).*step\.log") as caught:
        run(["/bin/sh", "-c", "echo 'error: flux'; echo 'error: later'; exit 3"], log, {}, lock)
    assert "earlier" not in str(caught.value)


def test_an_interrupted_step_leaves_no_process_behind(tmp_path, lock, signals):
    """The child ignores SIGINT and has a child of its own: both must be gone in the end."""
    pids = tmp_path / "pids"
    child = "import os,signal,time; signal.signal(2, signal.SIG_IGN); os.fork(); "
    child += f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(60)"

    def interrupt(*_: object) -> None:
        if not pids.exists() or len(pids.read_text().splitlines()) < 2:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            return
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("steps.GRACE_S", 0.1)
        run([sys.executable, "-S", "-c", child], tmp_path / "step.log", dict(os.environ), lock)
    deadline = time.monotonic() + 10
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline, "a process of the interrupted step is still running"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Running, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("c++: fatal error: cannot write x.o: No space left on device", "The disk is full"),
        ("NewConnectionError: Failed to establish\nERROR: No matching distribution", "check the network"),
        ("E: Failed to fetch http://deb.debian.org/x  Temporary failure resolving", "check the network"),
        ("ERROR: Could not find x==9 (from versions: none)", "check the network"),
        ("ERROR: Could not find x==9 (from versions: 8)", "(ERROR: Could not find x==9 (from versions: 8))"),
        ("exit", "pip failed: put that right"),
    ],
)
def test_failures_are_explained_with_what_to_do(text, said):
    sentence = explain(text, "pip")
    assert said in sentence
    assert sentence.endswith("run setup/bootstrap again.")
