"""The cameras of the robot, as config/cameras.yaml describes them. Pure but for reading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from piper_bringup import parameters
from piper_bringup.data import names

NODE, FILE = "cameras", "cameras.yaml"
DEFAULTS: dict[str, object] = {
    "used": list(names.CAMERAS),
    **{f"{camera}.{of}": "" for of in ("device", "serial", "calibration") for camera in names.CAMERAS},
    "width_px": 640,
    "height_px": 480,
    "rate_hz": 30.0,
    "exposure_s": 0.0,
}
_RANGES = (("width_px", 16, 4096), ("height_px", 16, 4096), ("rate_hz", 1.0, 200.0), ("exposure_s", 0.0, 1.0))
_BY_NUMBER = re.compile(r"(/dev/)?(video)?\d+")


@dataclass(frozen=True)
class Camera:
    """One of names.CAMERAS."""

    name: str
    device: str = ""
    """V4L2 device; or a video file, or pictures as name_%04d.png."""
    serial: str = ""
    """Of a RealSense."""
    calibration: str = ""
    """YAML file of ROS's camera_calibration."""
    width_px: int = 640
    height_px: int = 480
    rate_hz: float = 30.0
    exposure_s: float = 0.0
    """0: automatic."""

    @property
    def node(self) -> str:
        """Of the ROS camera node that serves it, and the namespace of its topics."""
        return f"cam_{self.name}"


def cameras_of(values: Mapping[str, object]) -> tuple[Camera, ...]:
    """The cameras that are used. values: by the names of DEFAULTS. Raises ParameterError."""
    used = list(values["used"])
    if not used or len(set(used)) < len(used) or not set(used) <= set(names.CAMERAS):
        raise _wrong(f"parameter 'used' is {used}, valid: each once, of {', '.join(names.CAMERAS)}")
    for name, low, high in _RANGES:
        if not low <= values[name] <= high:
            raise _wrong(f"parameter {name!r} is {values[name]:g}, valid: {low:g} to {high:g}")
    if values["exposure_s"] * values["rate_hz"] > 1.0:
        raise _wrong(f"exposure_s {values['exposure_s']:g} is longer than a picture lasts at {values['rate_hz']:g} Hz")
    common = {name: values[name] for name, *_ in _RANGES}
    found = tuple(
        Camera(name, *(str(values[f"{name}.{of}"]) for of in ("device", "serial", "calibration")), **common)
        for name in used
    )
    for of in ("device", "serial"):
        _refuse_twice(of, [getattr(camera, of) for camera in found])
    return found


def read(path: Path) -> tuple[Camera, ...]:
    """From the parameter file. Raises ParameterError where it is not there, is no such file, or says what cannot be."""
    try:
        document = yaml.safe_load(path.read_text())
        given = _flat(document[NODE]["ros__parameters"])
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise _wrong(f"{path} is no parameter file of node {NODE!r}: {type(error).__name__}: {text}") from error
    return cameras_of(parameters.merge(NODE, DEFAULTS, given))


def unnamed(cameras: tuple[Camera, ...], of: str) -> str:
    """What is wrong with devices or serials (`of`) as they are named; empty: nothing."""
    missing = [camera.name for camera in cameras if not getattr(camera, of)]
    if missing:
        return f"no {of} is named for camera {', '.join(missing)}"
    numbered = [camera for camera in cameras if of == "device" and _BY_NUMBER.fullmatch(camera.device)]
    if numbered:
        first = numbered[0]
        return f"camera {first.name} is {first.device}, which may be another one after the next start: name its path"
    return ""


def _refuse_twice(of: str, given: list[str]) -> None:
    """Raises ParameterError where two cameras are the same one."""
    twice = sorted({one for one in given if one and given.count(one) > 1})
    if twice:
        raise _wrong(f"two cameras have the {of} {twice[0]!r}")


def _flat(tree: Mapping[str, object], above: str = "") -> dict[str, object]:
    """Nested names as ROS reads them, with dots."""
    found: dict[str, object] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found


def _wrong(text: str) -> parameters.ParameterError:
    return parameters.ParameterError(f"{NODE}: {text}")
