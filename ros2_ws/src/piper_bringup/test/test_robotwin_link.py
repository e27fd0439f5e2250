"""Our end of a RoboTwin worker: a hang, a death and an exception are one named error each, and nothing stays behind."""

import ast
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from robotwin_rig import PATIENCE_S, TASK, lay, start

from piper_bringup.robotwin import link as link_module
from piper_bringup.robotwin.checkout import ASSETS
from piper_bringup.robotwin.child import Child
from piper_bringup.robotwin.link import Link
from piper_bringup.robotwin.lost import WorkerBabbled, WorkerDied, WorkerHung, WorkerLost, WorkerRaised
from piper_bringup.robotwin.place import admit

HANGS, DIES = 100007, 100008  # seeds of the fake
REACH = np.zeros(14)
SHORT_S = 1.0  # for what never comes


@pytest.fixture
def place(tmp_path):
    return lay(tmp_path / "checkout", "main")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where a link puts its socket, empty."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:  # tmp_path is too long for a socket
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def link(place, temporary):
    with place.link() as link:
        link.start(PATIENCE_S)
        yield link


def gone(pid):
    """True once a process is no more, or a zombie that somebody else will reap; bounded."""
    end_s = time.monotonic() + 30.0
    while time.monotonic() < end_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def appears(path):
    """The text of a file that somebody writes; bounded."""
    end_s = time.monotonic() + 30.0
    while time.monotonic() < end_s:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")


def pid_of(link):
    return link._child._popen.pid


def test_a_worker_leaves_neither_process_nor_socket(link, temporary):
    pid = pid_of(link)
    assert link.alive and list(temporary.iterdir()) == []
    link.close()
    link.close()
    assert gone(pid) and not link.alive and list(temporary.iterdir()) == []
    with pytest.raises(WorkerLost, match="start one"):
        link.call("hello", SHORT_S)


@pytest.mark.parametrize("python", ["bin/python", "~/bin/python"])
def test_a_python_is_found_from_the_folder_that_it_was_named_in(place, tmp_path, monkeypatch, python):
    """The worker runs in the checkout."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert admit(str(place.root), python, [])
    with Link(python, place.root) as link:
        assert link.start(PATIENCE_S)["branch"] == "main"


def test_a_hang_is_named_and_the_worker_ended(link):
    pid = pid_of(link)
    start(link)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerHung, match="step: no answer within 1 s"):
        link.call("step", SHORT_S, action=REACH)
    assert not link.alive and gone(pid)


def test_a_death_is_named_with_its_code_and_last_words(link):
    start(link, DIES)
    with pytest.raises(WorkerDied, match=r"step: the worker ended with exit code 7; .*last words"):
        link.call("step", PATIENCE_S, action=REACH)
    assert not link.alive


def test_a_kill_is_named_with_its_signal(link):
    os.kill(pid_of(link), signal.SIGKILL)
    with pytest.raises(WorkerDied, match="killed by signal 9"):
        link.call("hello", PATIENCE_S)


def test_another_worker_is_started_after_one_was_lost(link):
    start(link, DIES)
    with pytest.raises(WorkerLost):
        link.call("step", PATIENCE_S, action=REACH)
    assert link.start(PATIENCE_S)["branch"] == "main"
    assert start(link)["observation"]["action_count"] == 0


def test_starting_again_ends_the_one_before(link):
    before = pid_of(link)
    link.start(PATIENCE_S)
    assert gone(before) and pid_of(link) != before


def test_an_exception_leaves_the_worker_alive(link):
    pid = pid_of(link)
    with pytest.raises(WorkerRaised):
        link.call("reset", PATIENCE_S, task="no_such_task", seed=0)
    assert link.alive and pid_of(link) == pid and start(link)


def test_arguments_that_cannot_be_sent_leave_the_worker_alive(link):
    with pytest.raises(ValueError, match="cannot be sent"):
        link.call("step", PATIENCE_S, action=object())
    assert link.call("hello", PATIENCE_S)["branch"] == "main"


@pytest.mark.parametrize("wrong", ["empty", "another"])
def test_a_wrong_checkout_is_said_and_its_worker_ended(tmp_path, temporary, wrong):
    root = tmp_path / "wrong"
    (root / "envs").mkdir(parents=True)
    if wrong == "another":
        (root / "envs" / "_base_task.py").touch()
    link = Link(sys.executable, root)
    with pytest.raises(WorkerRaised, match="no RoboTwin checkout" if wrong == "empty" else "no RoboTwin branch"):
        link.start(PATIENCE_S)
    assert not link.alive and list(temporary.iterdir()) == []


def test_assets_that_are_missing_are_named(place):
    (place.root / ASSETS[0]).unlink()
    with place.link() as link:
        assert link.start(PATIENCE_S)["missing_assets"] == [ASSETS[0]]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WorkerLost, match="is no folder"):
        Link(sys.executable, tmp_path / "nowhere").start(PATIENCE_S)


def test_a_python_that_is_not_there_is_said(place, temporary):
    with pytest.raises(WorkerDied, match="no-such-python"):
        Link("no-such-python", place.root).start(PATIENCE_S)
    assert list(temporary.iterdir()) == []


def test_a_python_without_msgpack_is_told_what_to_install(place, tmp_path):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True, timeout=60)
    with pytest.raises(WorkerDied, match="pip install numpy pyyaml msgpack"):
        Link(str(bare / "bin" / "python"), place.root).start(PATIENCE_S)


def test_a_worker_that_does_not_connect_is_ended(place, temporary, tmp_path, monkeypatch):
    sleeper, children = tmp_path / "sleeper", []
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(link_module, "Child", lambda *given: children.append(Child(*given)) or children[-1])
    with pytest.raises(WorkerHung, match="did not connect"):
        Link(str(sleeper), place.root).start(SHORT_S)
    assert gone(children[0]._popen.pid) and list(temporary.iterdir()) == []


@pytest.mark.parametrize("sent", [b"\0\0\0\x02hi", b"\xff\xff\xff\xff", b"\0\0\0\x01\x80", b"\0\0"])
def test_what_is_not_the_protocol_ends_the_worker(place, tmp_path, monkeypatch, sent):
    babbling = tmp_path / "babbling.py"
    babbling.write_text(
        "import socket, sys, time\n"
        "s = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[4])\n"
        f"s.recv(4)\ns.sendall({sent!r})\ns.shutdown(socket.SHUT_RDWR)\ntime.sleep(600)\n"
    )
    monkeypatch.setattr(link_module, "WORKER", babbling)
    link = place.link()
    with pytest.raises(WorkerBabbled, match="does not speak the protocol"):
        link.start(PATIENCE_S)
    assert not link.alive


def test_closing_in_the_middle_of_a_call_ends_both_and_what_the_worker_started(link, place):
    start(link, HANGS)
    raised = []

    def wait():
        try:
            link.call("step", PATIENCE_S, action=REACH)
        except WorkerLost as error:
            raised.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    planner = int(appears(place.root / "planner.pid"))
    link.close()
    waiting.join(timeout=30)
    assert gone(planner)
    assert raised == ["step: the link was closed meanwhile"] and not link.alive


def test_calls_of_several_threads_each_get_their_own_answer(link):
    start(link)
    cameras = [["head_camera"], ["left_camera"], ["right_camera"], []] * 5
    wrong = []

    def ask(names):
        seen = link.call("observe", PATIENCE_S, cameras=names)["observation"]["cameras"]
        wrong.extend([seen] if list(seen) != names else [])

    threads = [threading.Thread(target=ask, args=(names,)) for names in cameras]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_the_thread_that_started_a_worker_may_end(place):
    with place.link() as link:
        starter = threading.Thread(target=link.start, args=(PATIENCE_S,))
        starter.start()
        starter.join(timeout=60)
        assert link.call("hello", PATIENCE_S)["branch"] == "main"


PARENT = """
import sys, numpy as np
from robotwin_rig import *
place = Place(Path(sys.argv[1]))
with place.link() as link:
    link.start()
    start(link, 100007)
    print(link._child._popen.pid, flush=True)
    link.call("step", 600.0, action=np.zeros(14))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_worker_ends_with_us_in_the_middle_of_a_call(place, number):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    line = [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)" + PARENT]
    with subprocess.Popen([*line, str(place.root)], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        try:
            pid = int(parent.stdout.readline())
            planner = int(appears(place.root / "planner.pid"))
            parent.send_signal(number)
            assert gone(pid) and gone(planner)
            assert parent.wait(timeout=30) != 0
        finally:
            parent.kill()


def test_a_fresh_process_speaks_after_noise_on_stdout(link):
    for _ in range(20):  # each prints progress lines, also from C
        start(link)
        action = REACH.copy()
        action[0] = 0.01
        assert link.call("step", PATIENCE_S, action=action)["taken"]


WORKER_SIDE = (
    "protocol",
    "worker",
    "commands",
    "episode",
    "observed",
    "program",
    "checkout",
    "phase",
    "substitutes",
    "serving",
    "software",
    "physics",
    "seeds",
    "__init__",
)


@pytest.mark.parametrize("name", WORKER_SIDE)
def test_the_workers_side_is_python_3_10_and_needs_three_packages(name):
    path = Path(link_module.__file__).with_name(f"{name}.py")
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {n for n in names if n.startswith("piper_bringup")}
    assert {n.split(".")[0] for n in names - ours} <= set(sys.stdlib_module_names) | {"numpy", "msgpack", "yaml"}
    assert {n.rsplit(".", 1)[-1] for n in ours} <= {*WORKER_SIDE, "robotwin"}


def test_the_worker_runs_on_python_3_10(place):
    """Where SMP_PYTHON_3_10 names one that has numpy, PyYAML and msgpack."""
    python = os.environ.get("SMP_PYTHON_3_10") or pytest.skip("SMP_PYTHON_3_10 names no Python")
    with Link(python, place.root) as link:
        assert link.start(PATIENCE_S)["python"].startswith("3.10.")
        assert start(link, 100000, expert_check=True)["task"] == TASK
        assert link.call("step", PATIENCE_S, action=REACH, cameras=["head_camera"])["observation"]["action_count"] == 1
