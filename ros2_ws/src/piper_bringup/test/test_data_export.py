"""Ours in RoboTwin's layouts: read again it is what it was, and its own policies' readers find what they expect."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from episode_rig import episode, picture

from piper_bringup.data import export, layouts, names
from piper_bringup.data.episode import EpisodeError, write
from piper_bringup.data.export import Args
from piper_bringup.data.images import decode_jpeg, encode_jpeg

LAYOUTS = {
    "robotwin-stable": "{task}/smp/data/episode{number}.hdf5",
    "robotwin-v1": "smp/{task}/piper/data/episode_{number:07d}.hdf5",
}


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


def shown(rows: int) -> tuple[bytes, ...]:
    """One picture a row, each another one, red and blue well apart."""
    return tuple(encode_jpeg(np.roll(picture(3), 8 * row, axis=1)) for row in range(rows))


def demonstrations(folder: Path, count: int = 2, **changes: object) -> Path:
    for number in range(count):
        one = episode(rows=20, variant=number, pictures=True)
        images = {camera: shown(20)[i:] + shown(20)[:i] for i, camera in enumerate(one.images)}
        write(folder / "lift_bar" / f"{number}.hdf5", replace(one, images=images, **changes))
    return folder


def exported(data: Path, layout: str, out: Path, **args: str) -> list[export.Line]:
    return list(export.export(Args((data,), layout, out, **args)))


def place(out: Path, layout: str, number: int = 0) -> Path:
    return out / LAYOUTS[layout].format(task="lift_bar", number=number)


def test_read_again_it_is_what_it_was(tmp_path, layout):
    lines = exported(demonstrations(tmp_path / "data"), layout, tmp_path / "out")
    assert [line.file for line in lines] == [place(tmp_path / "out", layout, number) for number in (0, 1)]
    for number, line in enumerate(lines):
        one, again = layouts.load(tmp_path / "data/lift_bar" / f"{number}.hdf5"), layouts.load(line.file)
        assert (again.task, again.instruction, again.seed) == (one.task, one.instruction, one.seed)
        assert (again.source, again.success, len(again)) == (layout, True, len(one))
        assert np.array_equal(again.t_ns, one.t_ns - one.t_ns[0])
        for name in ("target", "action"):
            assert np.allclose(getattr(again, name), getattr(one, name), atol=1e-6), name
        for camera in names.CAMERAS:
            assert np.array_equal(again.image_t_ns[camera], again.t_ns)
            for row in range(len(one)):
                apart = decode_jpeg(again.images[camera][row]).astype(int) - decode_jpeg(one.images[camera][row])
                assert np.abs(apart).mean() < 3.0, (camera, row)


def test_stable_policies_find_what_they_read(tmp_path):
    """As policy/ACT/process_data.py does: states are all frames but the last, actions all but the first."""
    data = demonstrations(tmp_path / "data", 1)
    exported(data, "robotwin-stable", tmp_path / "out")
    one = layouts.load(data / "lift_bar/0.hdf5")
    with h5py.File(place(tmp_path / "out", "robotwin-stable")) as root:
        joints = root["joint_action"]
        parts = [joints[f"{arm}_{part}"][()] for arm in names.ARMS for part in ("arm", "gripper")]
        assert [part.shape for part in parts] == [(21, 6), (21,), (21, 6), (21,)]
        frames = np.column_stack(parts)
        assert np.array_equal(frames, root["/joint_action/vector"][()])
        cameras = {name: root[f"/observation/{name}/rgb"][()] for name in root["/observation"]}
    assert sorted(cameras) == ["head_camera", "left_camera", "right_camera"]
    grippers = list(names.GRIPPER_COLUMNS)
    assert np.allclose(frames[:-1, grippers] * 0.07, one.target[:, grippers])
    assert np.allclose(frames[1:, grippers] * 0.07, one.action[:, grippers])
    bits = cameras["left_camera"][4]
    read = cv2.imdecode(np.frombuffer(bits, np.uint8), cv2.IMREAD_COLOR)  # RGB, by the colours' exchange
    assert np.abs(read.astype(int) - decode_jpeg(one.images["left_wrist"][4])).mean() < 3.0
    assert (tmp_path / "out/lift_bar/smp/seed.txt").read_text().split() == ["0"]


def test_xpolicylabs_policies_find_what_they_read(tmp_path):
    """As utils/process_data.py of XPolicyLab packs it: arm and end effector of the left, then of the right."""
    data = demonstrations(tmp_path / "data", 1)
    exported(data, "robotwin-v1", tmp_path / "out")
    one = layouts.load(data / "lift_bar/0.hdf5")
    with h5py.File(place(tmp_path / "out", "robotwin-v1")) as root:
        packed = {
            kind: np.concatenate(
                [root[f"{kind}/{a}_{p}_joint_states"][()] for a in ("left", "right") for p in ("arm", "ee")], axis=-1
            )
            for kind in ("state", "action")
        }
        colours = [root[f"vision/{name}/colors"][4] for name in ("cam_head", "cam_left_wrist", "cam_right_wrist")]
        assert root["data_format_version"][()] == b"v1.0" and root["additional_info/frequency"][()] == 20
        assert root["vision/cam_head/shape"][()].tolist() == [240, 320, 3]
    for kind, ours in (("state", one.target), ("action", one.action)):
        assert packed[kind].shape == (20, 14) and packed[kind].dtype == np.float32
        assert np.allclose(packed[kind][:, 7:13], ours[:, 7:13], atol=1e-6)
        assert np.allclose(packed[kind][:, 6] * 0.07, ours[:, 6], atol=1e-6)
    read = cv2.imdecode(np.frombuffer(colours[1], np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(read.astype(int) - decode_jpeg(one.images["left_wrist"][4])).mean() < 3.0


def test_once_more_it_writes_the_same_and_never_over_anything_else(tmp_path, layout):
    data, out = demonstrations(tmp_path / "data"), tmp_path / "out"
    exported(data, layout, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    exported(data, layout, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    place(out, layout, 1).write_bytes(b"theirs")
    with pytest.raises(EpisodeError, match="there already, with other content; take another --name or --out"):
        exported(data, layout, out)
    assert place(out, layout, 1).read_bytes() == b"theirs"
    assert len(exported(data, layout, out, name="other")) == 2


def test_failures_and_what_the_layout_cannot_hold_are_named_and_take_no_number(tmp_path, layout):
    data = demonstrations(tmp_path / "data", 1)
    good = layouts.load(data / "lift_bar/0.hdf5")
    wide = episode(rows=20, variant=5, pictures=True)
    wide.target[3, 6] = wide.action[2, 6] = 0.095
    write(data / "lift_bar/a_failed.hdf5", replace(good, success=False))
    write(data / "lift_bar/b_blind.hdf5", episode(rows=20))
    write(data / "lift_bar/c_wide.hdf5", wide)
    (data / "lift_bar/d_damaged.hdf5").write_bytes(b"no")
    write(data / "lift_bar/e.hdf5", good)
    lines = exported(data, layout, tmp_path / "out")
    assert [line.wrong for line in lines] == [False, False, True, True, True, False]
    assert [line.file for line in lines if line.file] == [place(tmp_path / "out", layout, number) for number in (0, 1)]
    told = ("did not succeed", "images: none of head", "left_gripper: 0.095 m", "not a whole")
    for line, says in zip(lines[1:5], told, strict=True):
        assert says in line.why and line.why.count("hdf5") == 1, line.why


def test_the_program_says_what_it_wrote(tmp_path):
    def told(*words: object) -> tuple[int, str, str]:
        line = [sys.executable, "-m", "piper_bringup.data.export", *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    data = demonstrations(tmp_path / "data")
    code, said, _ = told(data, "--layout", "robotwin-v1", "--out", tmp_path / "out")
    assert code == 0 and "2 episodes, episode_0000000.hdf5 to episode_0000001.hdf5" in said
    code, _, errors = told(tmp_path / "nowhere", "--layout", "robotwin-v1", "--out", tmp_path / "out")
    assert code == 1 and errors.strip().endswith("no such file or folder")
    code, _, errors = told(data, "--layout", "robotwin-v1", "--out", tmp_path / "out", "--name", "a/b")
    assert code == 1 and "wanted is the name of a folder" in errors


def test_interrupted_it_says_so_and_goes_on_the_next_time(tmp_path, layout, monkeypatch, capsys):
    args = Args((demonstrations(tmp_path / "data"),), layout, tmp_path / "out")
    real = export.write_whole

    def interrupted(path: Path, content: bytes) -> None:
        if path == place(tmp_path / "out", layout, 1):
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(export, "write_whole", interrupted)
    with pytest.raises(SystemExit) as ended:
        export.main(args)
    assert ended.value.code == 130 and "interrupted; every file written is whole" in capsys.readouterr().err
    monkeypatch.setattr(export, "write_whole", real)
    with pytest.raises(SystemExit) as ended:
        export.main(args)
    assert ended.value.code == 0
    assert [layouts.load(place(tmp_path / "out", layout, number)).seed for number in (0, 1)] == [0, 1]
