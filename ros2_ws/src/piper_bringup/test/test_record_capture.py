"""record.capture, reader: recorded pictures as cameras; what is lost is named, retried, and never sent again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from camera_rig import HEIGHT_PX, WIDTH_PX, camera, film, picture, sequence
from hypothesis import given
from hypothesis import strategies as st

from piper_bringup.arm.clock import Clock
from piper_bringup.record.cameras import Camera
from piper_bringup.record.capture import OLDEST_MS, CameraError, Capture, captured_ns
from piper_bringup.record.reader import RETRY_S, Reader

MS = 1_000_000


class Time:
    """Two clocks, a second apart, that go when told."""

    def __init__(self) -> None:
        self.mono_ns, self.offset_ns = 50_000 * MS, 10**18
        self.clock = Clock(lambda: self.mono_ns, lambda: self.mono_ns + self.offset_ns)


class Device:
    """Stands in for cv2.VideoCapture on a V4L2 device: pictures with the kernel's time, and what goes wrong."""

    def __init__(self, time: Time) -> None:
        self.time, self.age_ms, self.stands, self.gone, self.mute = time, 33.0, False, False, False
        self.set_to: dict[int, float] = {}
        self.refuses: set[int] = set()
        self.released = 0
        self._ms = 0.0

    def __call__(self, path: str, backend: int) -> Device:
        assert backend == cv2.CAP_V4L2
        return self

    def isOpened(self) -> bool:
        return not self.gone

    def set(self, what: int, value: float) -> bool:
        self.set_to[what] = value
        return what not in self.refuses

    def get(self, what: int) -> float:
        assert what == cv2.CAP_PROP_POS_MSEC
        return self._ms

    def grab(self) -> bool:
        if not self.stands:
            self._ms = self.time.mono_ns / MS - self.age_ms
        return not self.gone and not self.mute

    def retrieve(self):
        return True, picture(0)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def device(time) -> Device:
    return Device(time)


def live(**more: object):
    return camera("/dev/null", **more)  # a character device, as cameras are


def test_a_film_is_read_picture_by_picture_and_then_at_its_end(tmp_path):
    capture = Capture(camera(film(tmp_path / "film.avi", 3)), Clock())
    seen = [capture.read() for _ in range(3)]
    for number, one in enumerate(seen):
        assert one.bgr.shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert np.abs(one.bgr.astype(int) - picture(number)).max() <= 3  # JPEG
    with pytest.raises(CameraError, match=r"camera head \(.*film.avi\) is at its end"):
        capture.read()
    capture.close()


def test_numbered_pictures_are_a_camera_too(tmp_path):
    capture = Capture(camera(sequence(tmp_path, 2)), Clock())
    assert [int(capture.read().bgr[0, 0, 0]) for _ in range(2)] == [40, 41]
    capture.close()


def test_what_does_not_open_is_named(tmp_path):
    with pytest.raises(CameraError, match=r"camera head \(/dev/v4l/by-id/none\) is not plugged in"):
        Capture(camera("/dev/v4l/by-id/none"), Clock())
    (tmp_path / "text.avi").write_text("no film")
    with pytest.raises(CameraError, match="does not open: is another program using it"):
        Capture(camera(tmp_path / "text.avi"), Clock())


def test_another_size_than_wanted_is_refused(tmp_path):
    capture = Capture(Camera("head", str(film(tmp_path / "film.avi"))), Clock())
    with pytest.raises(CameraError, match="gives 64x48 px, not 640x480"):
        capture.read()
    capture.close()


def test_a_camera_is_asked_for_small_pictures_of_its_rate_and_exposure(time, device):
    Capture(live(rate_hz=25.0, exposure_s=0.012), time.clock, device)
    assert device.set_to == {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: WIDTH_PX,
        cv2.CAP_PROP_FRAME_HEIGHT: HEIGHT_PX,
        cv2.CAP_PROP_FPS: 25.0,
        cv2.CAP_PROP_AUTO_EXPOSURE: 1,
        cv2.CAP_PROP_EXPOSURE: 120,
    }
    automatic = Device(time)
    Capture(live(), time.clock, automatic)
    assert automatic.set_to[cv2.CAP_PROP_AUTO_EXPOSURE] == 3 and cv2.CAP_PROP_EXPOSURE not in automatic.set_to
    device.refuses.add(cv2.CAP_PROP_EXPOSURE)
    with pytest.raises(CameraError, match=r"does not take an exposure of 0\.012 s"):
        Capture(live(exposure_s=0.012), time.clock, device)
    assert device.released == 1


def test_the_stamp_is_when_the_device_took_it_not_when_it_came(time, device):
    capture = Capture(live(), time.clock, device)
    assert capture.read().stamp_ns == time.mono_ns + time.offset_ns - 33 * MS


@given(st.floats(0.0, 1e9), st.integers(0, 10**18))
def test_a_stamp_is_never_ahead_and_never_far_back(device_ms, mono_ns):
    wall_ns = 2 * 10**18
    assert wall_ns - OLDEST_MS * MS - 1 <= captured_ns(device_ms, mono_ns, wall_ns) <= wall_ns


def test_a_device_that_tells_another_time_is_not_believed():
    for device_ms in (0.0, 12.0, 1.7e12):  # nothing; since it was opened; of the system clock
        assert captured_ns(device_ms, 50_000 * MS, 10**18) == 10**18


def test_the_last_picture_once_more_is_no_picture(time, device):
    capture = Capture(live(), time.clock, device)
    capture.read()
    device.stands = True
    with pytest.raises(CameraError, match="repeats its last picture"):
        capture.read()


class Told:
    """A reader on a device, and what it delivered."""

    def __init__(self, time: Time, device: Device) -> None:
        self.pictures = []
        self.reader = Reader(
            live(),
            lambda camera, picture: self.pictures.append(picture.stamp_ns),
            time.clock,
            lambda camera, clock: Capture(camera, clock, device),
        )

    def step(self, time: Time) -> float:
        time.mono_ns += 33 * MS
        return self.reader.step()


def test_an_unplugged_camera_is_named_retried_and_silent_until_it_is_back(time, device):
    told = Told(time, device)
    assert [told.step(time) for _ in range(3)] == [0.0] * 3 and told.reader.trouble() == ""
    device.gone = True
    assert told.step(time) == RETRY_S
    assert told.reader.trouble() == "camera head (/dev/null) gives no picture: was it unplugged?"
    assert device.released == 1
    assert [told.step(time) for _ in range(4)] == [RETRY_S] * 4
    assert "does not open" in told.reader.trouble() and len(told.pictures) == 3
    device.gone = False
    assert told.step(time) == 0.0 and told.reader.trouble() == ""
    assert len(told.pictures) == 4 and told.pictures == sorted(set(told.pictures))
    assert told.reader.losses == 1


def test_a_camera_that_hangs_is_named_while_its_thread_waits(time, device):
    told = Told(time, device)
    told.step(time)
    time.mono_ns += 1_100 * MS
    assert told.reader.trouble() == "camera head (/dev/null) hangs: no picture for over 1 s"
    told.step(time)
    assert told.reader.trouble() == ""


def test_a_camera_without_a_first_picture_is_refused_at_start(time, device):
    device.mute = True  # opens, and no room is left on its USB bus
    with pytest.raises(CameraError, match="gives no picture"):
        Told(time, device)
    assert device.released == 1


def test_nothing_is_delivered_after_the_end(time, device):
    told = Told(time, device)
    told.reader.stop()
    assert device.released == 1
    told.step(time)
    assert told.pictures == []
