"""record.cameras, devices, calibration: what the file may say, which cameras are there, what camera_info tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from camera_rig import camera

from piper_bringup.data import names
from piper_bringup.parameters import ParameterError
from piper_bringup.record import devices
from piper_bringup.record.calibration import info_of
from piper_bringup.record.cameras import DEFAULTS, Camera, cameras_of, read, unnamed

SHIPPED = Path(__file__).parents[1] / "config" / "cameras.yaml"


def written(folder: Path, **parameters: object) -> Path:
    path = folder / "cameras.yaml"
    path.write_text(yaml.safe_dump({"cameras": {"ros__parameters": parameters}}))
    return path


def test_the_shipped_file_has_every_parameter_with_its_default():
    said = yaml.safe_load(SHIPPED.read_text())["cameras"]["ros__parameters"]
    assert said == DEFAULTS
    assert [one.name for one in read(SHIPPED)] == list(names.CAMERAS)


def test_dotted_and_nested_names_are_the_same_and_whole_numbers_are_numbers(tmp_path):
    (one,) = read(written(tmp_path, used=["head"], head={"device": "/dev/v4l/by-id/a"}, rate_hz=60, exposure_s=0.01))
    assert (one.device, one.rate_hz, one.exposure_s, one.node) == ("/dev/v4l/by-id/a", 60.0, 0.01, "cam_head")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"used": []}, r"'used' is \[\], valid: each once, of head, left_wrist, right_wrist"),
        ({"used": ["head", "head"]}, r"valid: each once"),
        ({"used": ["tail"]}, r"\['tail'\], valid"),
        ({"heed.device": "x"}, r"unknown parameter 'heed.device'; valid: "),
        ({"head.serial": 838212073249}, r"'head.serial' is 838212073249, expected str"),  # without its quotes
        ({"rate_hz": 0.5}, r"'rate_hz' is 0.5, valid: 1 to 200"),
        ({"width_px": 8}, r"'width_px' is 8, valid: 16 to 4096"),
        ({"exposure_s": 0.05}, r"exposure_s 0.05 is longer than a picture lasts at 30 Hz"),
        ({"head.device": "/dev/v4l/by-id/a", "left_wrist.device": "/dev/v4l/by-id/a"}, r"two cameras have the device"),
        ({"head.serial": "1", "right_wrist.serial": "1"}, r"two cameras have the serial '1'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path, parameters, says):
    with pytest.raises(ParameterError, match=says) as refusal:
        read(written(tmp_path, **parameters))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "cameras: 3", "other: {ros__parameters: {}}", "a: [", "cameras: {}"])
def test_a_file_that_is_none_is_named(tmp_path, text):
    (tmp_path / "cameras.yaml").write_text(text)
    with pytest.raises(ParameterError, match=r"cameras.yaml is no parameter file of node 'cameras'") as refusal:
        read(tmp_path / "cameras.yaml")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ParameterError, match="No such file"):
        read(tmp_path / "elsewhere.yaml")


def test_devices_have_to_be_named_and_by_what_stays():
    none = cameras_of(DEFAULTS)
    assert unnamed(none, "device") == "no device is named for camera head, left_wrist, right_wrist"
    assert unnamed(none, "serial") == "no serial is named for camera head, left_wrist, right_wrist"
    for device in ("/dev/video0", "video12", "3"):
        said = unnamed((Camera("head", device=device),), "device")
        assert said.startswith(f"camera head is {device}, which may be another one")
    assert unnamed((Camera("head", device="/dev/v4l/by-id/usb-video0-index0"),), "device") == ""


def test_a_camera_that_is_not_plugged_in_is_named_with_those_that_are(tmp_path):
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    there = by_id / "usb-One-video-index0"
    there.touch()
    (by_id / "usb-One-video-index1").touch()  # its metadata: no pictures come from there
    one, two = Camera("head", device=str(there)), Camera("left_wrist", device="/dev/v4l/by-id/two")
    assert devices.missing_devices((one,), tmp_path) == ""
    said = devices.missing_devices((one, two), tmp_path)
    assert said == f"camera left_wrist (/dev/v4l/by-id/two) is not plugged in; cameras here: {there}"


def test_realsense_cameras_go_by_the_serials_that_their_tool_lists():
    listed = (
        "Device Name                   Serial Number       Firmware Version\n"
        "Intel RealSense D435I         838212073249        5.15.1.0\n"
        "Intel RealSense D405          128422271521        5.15.1.55\n"
    )
    found = devices.serials_in(listed)
    assert found == ("838212073249", "128422271521")
    assert devices.serials_in("No device detected. Is it plugged in?\n") == ()
    serials = ("838212073249", "1", "2")
    cameras = tuple(Camera(name, serial=serial) for name, serial in zip(names.CAMERAS, serials, strict=True))
    assert devices.missing_serials(cameras[:1], found) == ""
    assert "camera left_wrist (1), right_wrist (2) are not plugged in" in devices.missing_serials(cameras, found)
    assert devices.missing_serials(cameras, ()).endswith("cameras here: none")


CALIBRATION = {
    "image_width": 64,
    "image_height": 48,
    "camera_name": "head",
    "camera_matrix": {"rows": 3, "cols": 3, "data": [60.0, 0, 32, 0, 60.0, 24, 0, 0, 1]},
    "distortion_model": "plumb_bob",
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.1, -0.2, 0, 0, 0]},
    "rectification_matrix": {"rows": 3, "cols": 3, "data": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
    "projection_matrix": {"rows": 3, "cols": 4, "data": [58.0, 0, 32, 0, 0, 58.0, 24, 0, 0, 0, 1, 0]},
}


def calibrated(folder: Path, **changes: object) -> Camera:
    path = folder / "head.yaml"
    path.write_text(yaml.safe_dump(CALIBRATION | changes))
    return camera("", calibration=str(path))


def test_a_calibration_becomes_camera_info(tmp_path):
    info = info_of(calibrated(tmp_path))
    assert (info.width, info.height, info.distortion_model) == (64, 48, "plumb_bob")
    assert (list(info.k)[:3], list(info.d)[:2], info.p[0]) == ([60.0, 0.0, 32.0], [0.1, -0.2], 58.0)
    assert info.header.frame_id == "cam_head_optical_frame"


def test_without_one_camera_info_says_so_as_ROS_does():
    info = info_of(camera(""))
    assert (info.width, info.height) == (64, 48) and set(info.k) == {0.0}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_width": 640}, "calibration of camera head is of 640x48 px, and the camera is to give 64x48"),
        ({"camera_matrix": {"data": [1, 2]}}, "camera_matrix has 2 numbers, not 9"),
        ({"projection_matrix": None}, "does not read: TypeError"),
    ],
)
def test_a_calibration_that_does_not_fit_is_named(tmp_path, changes, says):
    with pytest.raises(ValueError, match=says):
        info_of(calibrated(tmp_path, **changes))
    with pytest.raises(ValueError, match="does not read: FileNotFoundError"):
        info_of(camera("", calibration=str(tmp_path / "none.yaml")))
