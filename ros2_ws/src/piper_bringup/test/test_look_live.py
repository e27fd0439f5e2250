"""look/live, viz: a run's messages become the entities of recorded episodes; without Rerun nothing starts."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rrd_rig import rows, scalars

from piper_bringup import viz
from piper_bringup.data import images, names
from piper_bringup.data.names import JOINTS
from piper_bringup.look import entities, viz_node
from piper_bringup.look.live import LANES, Live, blueprint
from piper_bringup.options import OptionError, Options

MS, S = 1_000_000, 1_000_000_000
T0_NS = 1_800_000_000 * S


def time_of(t_ns: int) -> SimpleNamespace:
    return SimpleNamespace(sec=t_ns // S, nanosec=t_ns % S)


def header(t_ms: int) -> SimpleNamespace:
    return SimpleNamespace(stamp=time_of(T0_NS + t_ms * MS))


def joints(t_ms: int, first: float, named: tuple[str, ...] = JOINTS) -> SimpleNamespace:
    """`named` at first, first + 1, ..."""
    return SimpleNamespace(header=header(t_ms), name=list(named), position=[first + i for i in range(len(named))])


def chunk(t_ms: int, value: float, count: int = 4, named: tuple[str, ...] = JOINTS) -> SimpleNamespace:
    """Rows 50 ms apart; all joints at value, value + 1, ..."""
    points = [
        SimpleNamespace(positions=[value + i] * len(named), time_from_start=time_of((i + 1) * 50 * MS))
        for i in range(count)
    ]
    return SimpleNamespace(header=header(t_ms), joint_names=list(named), points=points)


@pytest.fixture
def shown(tmp_path):
    """A Live that writes a file; the file's path once it is closed."""
    rr = pytest.importorskip("rerun", reason="rerun-sdk is optional")
    path = tmp_path / "a.rrd"
    recording = rr.RecordingStream("test")
    recording.save(path)
    live = Live(recording, rr, T0_NS)

    def close():
        live.end_plan()
        recording.flush()
        recording.disconnect()
        return path

    return live, close


def test_joints_lie_where_those_of_episodes_do(shown):
    live, close = shown
    live.joints("state", [joints(0, 0.5), joints(10, 1.5)])
    right = tuple(joint for joint in JOINTS if joint.startswith("right"))
    live.joints("action", [joints(10, 7.0, right)], right)
    live.joints("action", [])
    path = close()
    times, values = scalars(path, "/joint/left_joint2/state")
    assert np.allclose(times, [0.0, 0.01]) and np.allclose(values, [1.5, 2.5])
    assert scalars(path, "/joint/right_joint1/action") == (pytest.approx([0.01]), [7.0])
    assert scalars(path, "/joint/left_joint1/action") == ([], [])


def test_the_plan_is_what_the_newest_chunk_says_of_each_instant(shown):
    live, close = shown
    live.chunk(chunk(0, 10.0))  # rows at 50, 100, 150, 200 ms
    live.chunk(chunk(100, 20.0))  # at 150, 200, 250, 300 ms
    path = close()
    times, values = scalars(path, "/joint/right_gripper/plan")
    assert np.allclose(times, [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]) and values == [10.0, 11.0, 20.0, 21.0, 22.0, 23.0]


def test_chunks_that_overlap_lie_side_by_side(shown):
    live, close = shown
    for t_ms, value in ((0, 10.0), (100, 20.0), (200, 30.0)):
        live.chunk(chunk(t_ms, value))
    path = close()
    assert scalars(path, "/joint/left_joint1/chunk/0")[1] == [10.0, 11.0, 12.0, 13.0, 30.0, 31.0, 32.0, 33.0]
    assert scalars(path, "/joint/left_joint1/chunk/1")[1] == [20.0, 21.0, 22.0, 23.0]


def test_more_chunks_than_can_be_shown_are_no_trouble(shown):
    live, close = shown
    for i in range(LANES + 5):
        live.chunk(chunk(i, float(i)))
    path = close()
    assert scalars(path, f"/joint/left_joint1/chunk/{LANES - 1}")[1][0] == LANES - 1.0
    assert len(scalars(path, "/joint/left_joint1/plan")[1]) >= 4


@pytest.mark.parametrize("wrong", [chunk(0, 1.0, count=0), chunk(0, 1.0, named=JOINTS[:3]), chunk(0, 1.0)])
def test_what_the_driver_refuses_is_not_shown_as_a_plan(shown, wrong):
    live, close = shown
    if wrong.points and len(wrong.joint_names) == len(JOINTS):
        wrong.points[2].positions = [0.0]
    live.chunk(wrong)
    assert scalars(close(), "/joint/left_joint1/plan") == ([], [])


def test_gates_pictures_and_events_are_kept_as_they_came(shown):
    live, close = shown
    state = {"task": "lift_bar", "chunk_id": 3, "active_experts": [1], "total_ms": 6.5, "gate": [0.25, 0.75]}
    live.skill_state(SimpleNamespace(header=header(100), **state))
    rgb = np.random.default_rng(0).integers(0, 256, (names.IMAGE_HEIGHT, names.IMAGE_WIDTH, 3), np.uint8)
    image = {"height": rgb.shape[0], "width": rgb.shape[1], "encoding": "rgb8", "step": rgb.shape[1] * 3}
    message = SimpleNamespace(header=header(150), data=rgb.tobytes(), **image)
    live.picture("head", message)
    with pytest.raises(ValueError, match="unknown"):
        live.picture("head", SimpleNamespace(header=header(151), data=rgb.tobytes(), **image | {"encoding": "yuv"}))
    said = {"source": "piper_driver", "arm": "left", "reason": "BUS_LOST", "text": "gone", "severity": 3}
    live.safety_event(SimpleNamespace(header=header(200), **said))
    live.episode_event(SimpleNamespace(header=header(300), task="lift_bar", seed=5, kind=2, text="all goals"))
    path = close()
    assert [gate for _, gate in rows(path, "/gate/over_time", "Scalars:scalars")] == [[0.25, 0.75]]
    assert len(rows(path, "/gate/bars", "BarChart:values")) == 1
    ((t_s, (jpeg,)),) = rows(path, "/camera/head", "EncodedImage:blob")
    assert t_s == pytest.approx(0.15) and bytes(jpeg) == images.to_jpeg(message)
    texts = [text for _, (text,) in rows(path, "/event", "TextLog:text")]
    assert texts == ["piper_driver left: BUS_LOST: gone", "lift_bar, seed 5: succeeded; all goals"]
    assert [level for _, (level,) in rows(path, "/event", "TextLog:level")] == ["ERROR", "INFO"]
    ((_, (now,)),) = rows(path, "/policy/now", "TextDocument:text")
    assert now == "lift_bar, chunk 3: experts 1, 6.5 ms"


def test_the_window_has_a_place_for_everything():
    pytest.importorskip("rerun", reason="rerun-sdk is optional")
    import rerun.blueprint as rrb

    made = blueprint(rrb)
    views = [view for line in made.root_container.contents for view in line.contents]
    assert [view.origin for view in views[:3]] == [entities.camera(camera) for camera in names.CAMERAS]
    assert {"gate/bars", "gate/over_time", "event", "policy/now"} <= {view.origin for view in views}
    assert "+ /joint/right_joint6/**" in views[4].contents


def no_rerun(monkeypatch, tmp_path):
    """A Rerun before all others that does not load, as where none is installed."""
    (tmp_path / "rerun.py").write_text("raise ModuleNotFoundError(\"No module named 'rerun'\")\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def headless(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("headless")
def test_without_rerun_one_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    no_rerun(monkeypatch, tmp_path)
    with pytest.raises(OptionError, match=r"^viz needs Rerun \(.*No module named 'rerun'\): pip install rerun-sdk=="):
        viz.admit(Options(viz=True, out="out"))
    assert viz.admit(Options(out="out")) == ""  # nobody asked for it


@pytest.mark.usefixtures("headless")
def test_without_a_display_there_has_to_be_a_folder():
    with pytest.raises(OptionError, match=r"no display, and no folder for run.rrd: name one \(out\)"):
        viz.admit(Options(viz=True))


@pytest.mark.usefixtures("headless")
def test_it_says_where_the_run_will_be_seen(monkeypatch):
    if subprocess.run([sys.executable, "-c", "import rerun"], capture_output=True, check=False).returncode:
        pytest.skip("rerun-sdk is optional")
    assert "no display here: the run is written to out/run.rrd" in viz.admit(Options(viz=True, out="out"))
    monkeypatch.setenv("DISPLAY", ":0")
    assert "window" in viz.admit(Options(viz=True))


def test_the_window_listens_on_this_machine_alone(monkeypatch):
    started: list[list[str]] = []
    monkeypatch.setattr(viz_node.subprocess, "Popen", lambda line, **_: started.append(line))
    viz_node.open_window("25%")
    (line,) = started
    assert line[line.index("--bind") + 1] == "127.0.0.1" and line[line.index("--memory-limit") + 1] == "25%"
