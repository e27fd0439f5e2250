"""Camera messages to RGB: encodings, damage, and live images equal to recorded ones."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from piper_bringup.data import images
from piper_bringup.data.names import IMAGE_HEIGHT, IMAGE_WIDTH


@pytest.fixture(autouse=True)
def fresh_bridge():
    """Each test decides anew whether cv_bridge imports."""
    images._cv_bridge.cache_clear()
    yield
    images._cv_bridge.cache_clear()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with the three channels apart, so that a swap of red and blue shows."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (max(height // 16, 1), max(width // 16, 1), 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def raw(rgb: np.ndarray, encoding: str = "rgb8", padding: int = 0) -> Image:
    height, width, _ = rgb.shape
    pixels = rgb if encoding == "rgb8" else rgb[..., ::-1]
    rows = np.zeros((height, 3 * width + padding), np.uint8)
    rows[:, : 3 * width] = pixels.reshape(height, -1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = rows.tobytes()
    return message


def compressed(rgb: np.ndarray, extension: str = ".jpg") -> CompressedImage:
    data = cv2.imencode(extension, np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
    return CompressedImage(format="rgb8; jpeg compressed bgr8" if extension == ".jpg" else "png", data=data)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    padding=st.integers(0, 9),
    encoding=st.sampled_from(images.RAW_ENCODINGS),
    seed=st.integers(0, 2**32 - 1),
)
def test_raw_round_trip(height, width, padding, encoding, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(images.decode(raw(rgb, encoding, padding)), rgb)


def test_rgb8_is_a_read_only_view_of_the_message():
    message = raw(np.zeros((4, 5, 3), np.uint8))
    view = images.decode(message)
    message.data[0] = 77
    assert view[0, 0, 0] == 77
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0] = 1


def test_messages_read_without_ros_give_the_same_pixels():
    rgb = picture(48, 64)
    message = raw(rgb, "bgr8", 4)
    plain = SimpleNamespace(
        height=48, width=64, step=message.step, encoding="bgr8", data=np.frombuffer(message.data, np.uint8)
    )
    assert np.array_equal(images.decode(plain), rgb)
    jpeg = compressed(rgb)
    plain = SimpleNamespace(format="jpeg", data=np.frombuffer(jpeg.data, np.uint8))
    assert np.array_equal(images.decode(plain), images.decode(jpeg))


def test_png_is_exact_and_jpeg_is_close():
    rgb = picture(240, 320)
    assert np.array_equal(images.decode(compressed(rgb, ".png")), rgb)
    difference = images.decode(compressed(rgb)).astype(int) - rgb
    assert np.abs(difference).mean() < 2.0


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("keep", [2, 100, 0.5, 0.99, -2])
def test_truncated_compressed_data_is_refused(extension, keep):
    message = compressed(picture(240, 320), extension)
    data = bytes(message.data)
    message.data = data[: int(len(data) * keep) if isinstance(keep, float) else keep]
    with pytest.raises(ValueError, match="jpeg, png"):
        images.decode(message)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_truncation_is_found_where_opencv_only_warns(monkeypatch, extension):
    message = compressed(picture(240, 320), extension)
    message.data = bytes(message.data)[:-20]
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: np.full((240, 320, 3), 128, np.uint8))
    with pytest.raises(ValueError, match="truncated"):
        images.decode(message)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_zero_padding_behind_a_compressed_image_is_allowed(extension):
    message = compressed(picture(48, 64), extension)
    expected = images.decode(message)
    message.data = bytes(message.data) + bytes(1000)
    assert np.array_equal(images.decode(message), expected)


def test_raw_refusals_name_the_cause():
    message = raw(picture(4, 4))
    message.encoding = "32FC1"
    with pytest.raises(ValueError, match=r"'32FC1'.*rgb8, bgr8"):
        images.decode(message)
    message = raw(picture(4, 4))
    message.data = bytes(message.data)[:-1]
    with pytest.raises(ValueError, match="47 bytes, not 4 rows of 12"):
        images.decode(message)
    message = raw(picture(4, 4))
    message.step = 11
    with pytest.raises(ValueError, match="needs 12 bytes, not 11"):
        images.decode(message)
    with pytest.raises(ValueError, match="empty"):
        images.decode(Image(encoding="rgb8"))
    with pytest.raises(ValueError, match="float64"):
        images.decode(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="NoneType is no image"):
        images.decode(None)


@pytest.mark.parametrize(
    "message",
    [
        raw(picture(480, 640)),
        raw(picture(240, 320), "bgr8"),
        compressed(picture(480, 640)),
        compressed(picture(240, 320)),
        compressed(picture(240, 320), ".png"),
        picture(240, 424),
    ],
    ids=["raw 640x480", "raw bgr8", "jpeg 640x480", "jpeg 320x240", "png", "array 424x240"],
)
def test_a_live_image_equals_the_recorded_one(message):
    taken = images.take(message)
    assert taken.shape == (IMAGE_HEIGHT, IMAGE_WIDTH, 3)
    stored = images.to_jpeg(message)
    assert stored.startswith(b"\xff\xd8")
    assert np.array_equal(taken, images.decode_jpeg(stored))
    assert images.policy_image(taken).shape == (96, 96, 3)


def test_a_jpeg_of_the_stored_size_is_kept_byte_for_byte():
    message = compressed(picture(IMAGE_HEIGHT, IMAGE_WIDTH))
    assert images.to_jpeg(message) == bytes(message.data)


def test_resize_averages_areas_and_leaves_the_right_size_alone():
    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert images.resize(rgb, 8, 8) is rgb
    expected = rgb.reshape(4, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(images.resize(rgb, 4, 4) - expected).max() <= 0.5


def install_cv_bridge(monkeypatch, convert):
    module = ModuleType("cv_bridge")
    module.CvBridge = lambda: SimpleNamespace(imgmsg_to_cv2=convert)
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_cv_bridge_is_used_where_it_imports(monkeypatch):
    asked = []

    def convert(message, target):
        asked.append((message.encoding, target))
        return np.full((message.height, message.width, 3), 9, np.uint8)

    install_cv_bridge(monkeypatch, convert)
    message = raw(picture(4, 4))
    assert (images.decode(message) == 9).all()
    message.encoding = "bayer_rggb8"
    assert (images.decode(message) == 9).all()
    assert asked == [("bgr8", "rgb8"), ("rgb8", "passthrough"), ("bayer_rggb8", "rgb8")]


def test_cv_bridge_built_for_another_numpy_is_passed_over(monkeypatch):
    def convert(message, target):
        raise ImportError("numpy.core.multiarray failed to import")

    install_cv_bridge(monkeypatch, convert)
    rgb = picture(4, 4)
    assert np.array_equal(images.decode(raw(rgb)), rgb)


def test_what_cv_bridge_cannot_convert_is_a_value_error(monkeypatch):
    def convert(message, target):
        if message.encoding == "32FC1":
            raise TypeError("[32FC1] is not a color format")
        return np.zeros((1, 1, 3), np.uint8)

    install_cv_bridge(monkeypatch, convert)
    message = raw(picture(4, 4))
    message.encoding = "32FC1"
    with pytest.raises(ValueError, match=r"'32FC1' into rgb8.*not a color format"):
        images.decode(message)
