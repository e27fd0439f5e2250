"""Numbers of the policy node: one frozen dataclass, whose field names are the parameter names (`__` reads as `.`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from piper_bringup.arm.config import DriverConfig
from piper_bringup.data import names
from piper_bringup.data.observation import Limits

_DRIVER, _LIMITS = DriverConfig(), Limits()


@dataclass(frozen=True)
class Settings:
    """Defaults are the house plan's; config/policy.yaml says what each is for."""

    model: str = ""
    task: str = ""
    backend: str = "onnx"
    device: str = "auto"
    seed: int = 0
    sticky: bool = False
    world: str = "robot"
    allow_sim_model: bool = False
    dry_run: bool = False
    rate_hz: float = 1e9 / (names.REPLAN_ROWS * names.DT_NS)
    driver__commit_s: float = _DRIVER.plan__commit_s
    driver__blend_s: float = _DRIVER.plan__blend_s
    latency__joints_s: float = 0.0
    latency__head_s: float = 0.0
    latency__left_wrist_s: float = 0.0
    latency__right_wrist_s: float = 0.0
    latency__delivery_s: float = 0.007
    observation__joints_s: float = _LIMITS.joints_ns / 1e9
    observation__camera_s: float = _LIMITS.camera_ns / 1e9
    observation__skew_s: float = _LIMITS.skew_ns / 1e9
    timeouts__chunk_age_s: float = 0.45
    timeouts__driver_s: float = 60.0
    timeouts__not_followed_s: float = 3.0

    def __post_init__(self) -> None:
        for name, valid in _CHOICES.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"parameter {name} is {getattr(self, name)!r}, valid: {', '.join(valid)}")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"parameter {_dotted(name)} is {value}, valid: {low:g} to {high:g}")
        if not self.model:
            raise ValueError("parameter model is empty: name the folder of a model (-p model:=models/...)")

    @staticmethod
    def defaults() -> dict[str, object]:
        """Parameter name -> default value."""
        return {_dotted(f.name): f.default for f in fields(Settings)}

    @staticmethod
    def from_parameters(values: Mapping[str, object]) -> Settings:
        """The settings of these parameters. Raises ValueError naming what is out of range."""
        return Settings(**{name.replace(".", "__"): value for name, value in values.items()})

    @property
    def period_ns(self) -> int:
        """Between the observations of two chunks."""
        return round(1e9 / self.rate_hz)

    @property
    def limits(self) -> Limits:
        """What an observation may be (S12)."""
        ages_s = (self.observation__joints_s, self.observation__camera_s, self.observation__skew_s)
        joints_ns, camera_ns, skew_ns = (round(s * 1e9) for s in ages_s)
        return Limits(joints_ns=joints_ns, camera_ns=camera_ns, skew_ns=skew_ns)

    def latency_ns(self, source: str) -> int:
        """How much older than its stamp says what a source shows is: "joints", or a camera's name."""
        return round(getattr(self, f"latency__{source}_s", 0.0) * 1e9)


_CHOICES = {
    "backend": ("onnx", "torch"),
    "device": ("auto", "cpu", "cuda"),
    "world": ("robot", "simulation"),
}
# S12 may be narrowed, not widened; the driver refuses chunks of more than 0.5 s (S9).
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("rate_hz", 0.5, 20.0),
    ("driver__commit_s", 0.0, 0.5),
    ("driver__blend_s", 0.0, 1.0),
    ("latency__joints_s", 0.0, 0.3),
    ("latency__head_s", 0.0, 0.3),
    ("latency__left_wrist_s", 0.0, 0.3),
    ("latency__right_wrist_s", 0.0, 0.3),
    ("latency__delivery_s", 0.0, 0.1),
    ("observation__joints_s", 0.01, _LIMITS.joints_ns / 1e9),
    ("observation__camera_s", 0.01, _LIMITS.camera_ns / 1e9),
    ("observation__skew_s", 0.001, _LIMITS.skew_ns / 1e9),
    ("timeouts__chunk_age_s", 0.05, _DRIVER.timeouts__chunk_age_s),
    ("timeouts__driver_s", 0.0, 3600.0),
    ("timeouts__not_followed_s", 0.5, 60.0),
)


def _dotted(field_name: str) -> str:
    return field_name.replace("__", ".")
