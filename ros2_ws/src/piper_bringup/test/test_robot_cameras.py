"""robot_cameras: whose camera nodes a robot's graph has, and that every one publishes the same topics."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from piper_bringup import robot_cameras
from piper_bringup.data import names
from piper_bringup.options import OptionError, Options
from piper_bringup.record.cameras import DEFAULTS
from piper_bringup.system import graph

ROS_HAS = {"everything": lambda package: True, "nothing": lambda package: False}


@pytest.fixture
def config(tmp_path) -> Path:
    """A config folder whose three cameras are named, two of them not plugged in."""
    (tmp_path / "head").touch()
    said = DEFAULTS | {f"{name}.device": str(tmp_path / name) for name in names.CAMERAS}
    said |= {f"{name}.serial": str(100000000 + i) for i, name in enumerate(names.CAMERAS)}
    return written(tmp_path, said)


def written(folder: Path, said: dict[str, object]) -> Path:
    (folder / "cameras.yaml").write_text(yaml.safe_dump({"cameras": {"ros__parameters": said}}))
    return folder


def by_name(options: Options, config: Path, has: str = "everything") -> dict:
    return {process.name: process for process in graph(options, config, ROS_HAS[has])}


def test_external_starts_nothing_and_its_topics_are_due_where_somebody_wants_them(config):
    assert list(by_name(Options(), config)) == ["piper_driver", "monitor"]
    for options, due in ((Options(), False), (Options(model="m"), True), (Options(record="bags"), True)):
        said = by_name(options, config)["monitor"].parameters
        assert (said["cameras"], said["cameras_due"]) == (list(names.CAMERAS), due)
    assert "cameras_due" not in by_name(Options(backend="mujoco"), config)["monitor"].parameters


def test_usb_is_ours_where_ROS_has_no_node(config):
    found = by_name(Options(cameras="usb"), config, "nothing")
    assert list(found) == ["piper_driver", "monitor", "cameras"]
    ours = found["cameras"]
    assert ours.params_file == "cameras.yaml" and not ours.required and not ours.respawn
    assert ours.environment["FASTRTPS_DEFAULT_PROFILES_FILE"].endswith("fastdds_cameras.xml")
    assert ours.environment["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] == "2"
    assert found["monitor"].parameters["cameras_due"] is True


def test_usb_is_usb_cam_where_ROS_has_it(config):
    found = by_name(Options(cameras="usb"), config)
    assert list(found) == ["piper_driver", "monitor", *(f"cam_{name}" for name in names.CAMERAS)]
    head = found["cam_head"]
    assert (head.package, head.executable, head.namespace) == ("usb_cam", "usb_cam_node_exe", "/cam_head")
    assert head.respawn and not head.required and head.params_file is None
    wanted = {"video_device": str(config / "head"), "frame_id": "cam_head_optical_frame", "framerate": 30.0}
    wanted |= {"image_width": 640, "image_height": 480, "autoexposure": True, "brightness": -1, "camera_info_url": ""}
    assert wanted.items() <= head.parameters.items() and "exposure" not in head.parameters


def test_realsense_goes_by_serial_and_its_topics_get_our_names(config):
    head = by_name(Options(cameras="realsense"), config)["cam_left_wrist"]
    assert (head.package, head.executable) == ("realsense2_camera", "realsense2_camera_node") and head.respawn
    wanted = {"serial_no": "100000001", "rgb_camera.color_profile": "640x480x30", "enable_depth": False}
    assert wanted.items() <= head.parameters.items() and "rgb_camera.exposure" not in head.parameters
    assert head.remaps["~/color/image_raw"] == "/cam_left_wrist/image_raw"
    assert head.remaps["~/color/image_raw/compressed"] == "/cam_left_wrist/image_raw/compressed"
    assert head.remaps["~/color/camera_info"] == "/cam_left_wrist/camera_info"


def test_exposure_is_passed_on_in_each_nodes_unit(tmp_path):
    said = {"used": ["head"], "head.device": "/dev/v4l/by-id/a", "head.serial": "1", "exposure_s": 0.01}
    config = written(tmp_path, said | {"head.calibration": str(tmp_path / "head.yaml")})
    usb = by_name(Options(cameras="usb"), config)["cam_head"].parameters
    assert (usb["autoexposure"], usb["exposure"]) == (False, 100)
    assert usb["camera_info_url"] == (tmp_path / "head.yaml").as_uri()
    intel = by_name(Options(cameras="realsense"), config)["cam_head"].parameters
    assert (intel["rgb_camera.exposure"], intel["depth_module.exposure"]) == (100, 10_000)
    assert intel["rgb_camera.enable_auto_exposure"] is False


def test_cameras_that_are_not_used_are_nobodys(tmp_path):
    config = written(tmp_path, {"used": ["head"], "head.device": "/dev/v4l/by-id/a"})
    found = by_name(Options(cameras="usb"), config)
    assert list(found) == ["piper_driver", "monitor", "cam_head"]
    assert found["monitor"].parameters["cameras"] == ["head"]


@pytest.mark.parametrize(
    ("options", "has", "says"),
    [
        (Options(cameras="realsense"), "nothing", r"package realsense2_camera is not found: apt install"),
        (Options(backend="mujoco", cameras="usb"), "nothing", r"usb, which a robot has; in simulation the cell"),
    ],
)
def test_what_cannot_be_started_is_refused_in_one_sentence(config, options, has, says):
    with pytest.raises(OptionError, match=says) as refusal:
        by_name(options, config, has)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("cameras", "of"), [("usb", "device"), ("realsense", "serial")])
def test_cameras_have_to_be_named(tmp_path, cameras, of):
    config = written(tmp_path, {})
    with pytest.raises(OptionError, match=rf"cameras is {cameras}, and no {of} is named for camera head.*\.yaml"):
        by_name(Options(cameras=cameras), config)
    assert by_name(Options(), config)  # who starts none needs none


def test_a_misspelt_file_is_an_option_that_cannot_be_served(tmp_path):
    with pytest.raises(OptionError, match="unknown parameter 'hed"):
        by_name(Options(), written(tmp_path, {"hed.device": ""}))


def test_missing_cameras_are_named_before_anything_starts(config):
    options = Options(cameras="usb")
    cameras = robot_cameras.described(options, config)
    with pytest.raises(OptionError, match=r"camera left_wrist .*, right_wrist .* are not plugged in"):
        robot_cameras.check(options, cameras)
    assert robot_cameras.check(options, cameras[:1]) == "cameras: head plugged in"
    assert robot_cameras.check(Options(), cameras) == ""


def test_realsense_cameras_are_looked_for_with_their_own_tool(config, monkeypatch, tmp_path):
    options = Options(cameras="realsense")
    cameras = robot_cameras.described(options, config)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "rs-enumerate-devices is not installed" in robot_cameras.check(options, cameras)
    tool = tmp_path / "rs-enumerate-devices"
    tool.write_text("#!/bin/sh\necho 'Intel RealSense D435I         100000000        5.15.1.0'\n")
    tool.chmod(0o755)
    assert robot_cameras.check(options, cameras[:1]) == "cameras: head plugged in"
    with pytest.raises(OptionError, match=r"left_wrist \(100000001\).*cameras here: 100000000"):
        robot_cameras.check(options, cameras)
