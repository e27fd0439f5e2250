"""Camera messages to RGB arrays: one way in for live, recorded and training images.

Messages are read by their fields (`encoding`, `format`, `data`, ...), so a rclpy message, one read from a bag
without ROS and a plain array all pass through the same code.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from piper_bringup.data.names import IMAGE_HEIGHT, IMAGE_WIDTH

RAW_ENCODINGS = ("rgb8", "bgr8")
POLICY_SIDE_PX = 96  # house plan, "images": what the policy sees
JPEG_QUALITY = 90  # episodes, and the round trip of live images, so that a policy sees what it was trained on

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


def decode(message: Any) -> np.ndarray:
    """Turn sensor_msgs/Image, sensor_msgs/CompressedImage or an RGB array into uint8 (H, W, 3) RGB.

    An rgb8 image is a read-only view of the message's own bytes: copy it before the message goes away.

    Raises:
        ValueError: unknown encoding or format, truncated data, or an array that is not uint8 (H, W, 3).
    """
    if isinstance(message, np.ndarray):
        if message.dtype != np.uint8 or message.ndim != 3 or message.shape[2] != 3 or message.size == 0:
            raise ValueError(f"an image array is uint8 (H, W, 3), not {message.dtype} {message.shape}")
        return message
    if hasattr(message, "encoding"):
        return _decode_raw(message)
    if hasattr(message, "format"):
        return _decode_compressed(message)
    raise ValueError(
        f"{type(message).__name__} is no image: sensor_msgs/Image, sensor_msgs/CompressedImage or an array is"
    )


def resize(rgb: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """Area-average to uint8 (height_px, width_px, 3); an image of that size is returned as it is."""
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    return cv2.resize(rgb, (width_px, height_px), interpolation=cv2.INTER_AREA)


def encode_jpeg(rgb: np.ndarray) -> bytes:
    """uint8 (H, W, 3) RGB to JPEG at JPEG_QUALITY."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG (or PNG) bytes to uint8 (H, W, 3) RGB; zero padding behind the image is allowed.

    Raises:
        ValueError: neither JPEG nor PNG, truncated, or damaged.
    """
    data = bytes(data)
    if data.startswith(_JPEG_START):
        complete = _JPEG_END in data  # entropy-coded bytes cannot spell the end marker (ITU-T T.81, B.1.1.5)
    elif data.startswith(_PNG_START):
        complete = _PNG_END in data.rstrip(b"\0")[-12:]
    else:
        raise ValueError(f"compressed image of {len(data)} bytes is neither JPEG nor PNG by its first bytes")
    # OpenCV 4 fills a truncated JPEG with grey and only warns, so completeness is checked before decoding.
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if complete else None
    except cv2.error:  # a damaged header that claims more pixels than OpenCV will allocate
        bgr = None
    if bgr is None:
        raise ValueError(f"compressed image of {len(data)} bytes is truncated or damaged")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def to_jpeg(message: Any) -> bytes:
    """Return what an episode stores of a camera message: JPEG, IMAGE_WIDTH x IMAGE_HEIGHT.

    A JPEG that the camera sent at that size is kept byte for byte. Raises as `decode`.
    """
    rgb = decode(message)
    if _storable_as_it_is(message, rgb):
        return bytes(message.data)
    return encode_jpeg(resize(rgb, IMAGE_WIDTH, IMAGE_HEIGHT))


def take(message: Any) -> np.ndarray:
    """Return a live image as an episode would give it back: uint8 (IMAGE_HEIGHT, IMAGE_WIDTH, 3) RGB.

    Equal to `decode_jpeg(to_jpeg(message))` bit for bit. Raises as `decode`.
    """
    rgb = decode(message)
    if _storable_as_it_is(message, rgb):
        return rgb
    return decode_jpeg(encode_jpeg(resize(rgb, IMAGE_WIDTH, IMAGE_HEIGHT)))


def policy_image(taken: np.ndarray) -> np.ndarray:
    """A taken image as the policy sees it: uint8 (POLICY_SIDE_PX, POLICY_SIDE_PX, 3) RGB."""
    return resize(taken, POLICY_SIDE_PX, POLICY_SIDE_PX)


def _storable_as_it_is(message: Any, rgb: np.ndarray) -> bool:
    if rgb.shape[:2] != (IMAGE_HEIGHT, IMAGE_WIDTH) or not hasattr(message, "format"):
        return False
    return bytes(message.data[:2]) == _JPEG_START


def _decode_raw(message: Any) -> np.ndarray:
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height < 1 or width < 1 or step < width:
        raise ValueError(f"image of {width}x{height} px with rows of {step} bytes is empty or malformed")
    if len(message.data) < height * step:
        raise ValueError(f"image holds {len(message.data)} bytes, not {height} rows of {step}")
    bridge = _cv_bridge()
    if bridge is not None:
        return _decode_with(bridge, message)
    if message.encoding not in RAW_ENCODINGS:
        raise ValueError(
            f"image encoding '{message.encoding}' is unknown; valid: {', '.join(RAW_ENCODINGS)} "
            "(more where cv_bridge is installed)"
        )
    if step < 3 * width:
        raise ValueError(f"a {message.encoding} row of {width} px needs {3 * width} bytes, not {step}")
    pixels = np.ndarray((height, width, 3), np.uint8, np.frombuffer(message.data, np.uint8), 0, (step, 3, 1))
    if message.encoding == "bgr8":
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    pixels.flags.writeable = False
    return pixels


def _decode_with(bridge: Any, message: Any) -> np.ndarray:
    # "passthrough" hands the message's own bytes back; any named target makes cv_bridge copy.
    target = "passthrough" if message.encoding == "rgb8" else "rgb8"
    try:
        return np.asarray(bridge.imgmsg_to_cv2(message, target))
    except (TypeError, ValueError, RuntimeError) as error:  # CvBridgeError is a TypeError
        raise ValueError(f"cv_bridge cannot turn '{message.encoding}' into rgb8: {error}") from error


def _decode_compressed(message: Any) -> np.ndarray:
    try:
        return decode_jpeg(message.data)
    except ValueError as error:
        raise ValueError(f"{error} (format '{message.format}'; valid: jpeg, png)") from error


@cache
def _cv_bridge() -> Any | None:
    """Return a cv_bridge converter, or None where cv_bridge, or its compiled half, does not import.

    The compiled half is loaded at the first conversion and fails where it was built for another numpy, so one
    pixel is converted before it is trusted.
    """
    pixel = SimpleNamespace(encoding="bgr8", height=1, width=1, step=3, is_bigendian=0, data=bytes(3))
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        bridge.imgmsg_to_cv2(pixel, "rgb8")
    except ImportError:
        return None
    return bridge
