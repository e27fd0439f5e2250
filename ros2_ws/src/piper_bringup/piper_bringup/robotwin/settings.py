"""How RoboTwin is run: one frozen dataclass, whose field names are the parameter names (`__` reads as `.`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from piper_bringup.data.names import ARMS
from piper_bringup.data.robotwin import STEP_NS
from piper_bringup.robotwin.substitutes import PLANNERS, SHADERS

FIRST_SEED = 100_000  # RoboTwin's evaluation begins at FIRST_SEED * (1 + its seed)


@dataclass(frozen=True)
class Settings:
    """Defaults are RoboTwin's own, with two PiPERs; config/robotwin.yaml says what each is for."""

    root: str = ""
    python: str = "python"
    shader: str = SHADERS[0]
    planner: str = PLANNERS[0]
    task_config: str = "demo_clean"
    embodiment__left: str = "piper"
    embodiment__right: str = "piper"
    embodiment__distance_m: float = 0.6
    expert_check: bool = True
    instruction_type: str = ""
    max_skipped: int = 50
    out: str = "robotwin_results"
    timeouts__start_s: float = 60.0
    timeouts__reset_s: float = 1800.0
    timeouts__step_s: float = 120.0
    timeouts__expert_s: float = 600.0
    timeouts__policy_s: float = 60.0
    realtime__servo_hz: float = 50.0
    realtime__camera_hz: float = 16.7
    realtime__min_factor: float = 0.95
    realtime__fifo_priority: int = 10
    realtime__policy: str = ""
    arms__left__can_channel: str = "can_left"
    arms__right__can_channel: str = "can_right"

    def __post_init__(self) -> None:
        if not self.root:
            raise ValueError("parameter root is empty: name the folder of a RoboTwin checkout")
        for name, valid in {"shader": SHADERS, "planner": PLANNERS, "instruction_type": ("", "seen", "unseen")}.items():
            if getattr(self, name) not in valid:
                raise ValueError(f"parameter {name} is {getattr(self, name)!r}, valid: {', '.join(valid)}")
        for field in fields(self):
            if field.name.startswith("timeouts__") and not 0.0 < getattr(self, field.name) <= 86400.0:
                text = f"parameter {_dotted(field.name)} is {getattr(self, field.name)}"
                raise ValueError(f"{text}, valid: above 0, at most 86400")
        if self.max_skipped < 0:
            raise ValueError(f"parameter max_skipped is {self.max_skipped}, valid: 0 and above")
        for name, low, high in (("servo_hz", 10.0, 250.0), ("camera_hz", 1.0, 50.0), ("min_factor", 0.5, 1.0)):
            if not low <= (value := getattr(self, f"realtime__{name}")) <= high:
                raise ValueError(f"parameter realtime.{name} is {value:g}, valid: {low:g} to {high:g}")

    @staticmethod
    def defaults() -> dict[str, object]:
        """Parameter name -> default value."""
        return {_dotted(field.name): field.default for field in fields(Settings)}

    @staticmethod
    def from_parameters(values: Mapping[str, object]) -> Settings:
        """The settings of these parameters. Raises ValueError naming what is wrong."""
        return Settings(**{name.replace(".", "__"): value for name, value in values.items()})

    @property
    def embodiment(self) -> list[object]:
        """As RoboTwin's task configurations have it."""
        return [self.embodiment__left, self.embodiment__right, self.embodiment__distance_m]

    @property
    def servo_steps(self) -> int:
        """Physics steps from one place that the arms are told to the next."""
        return round(1e9 / self.realtime__servo_hz / STEP_NS)

    @property
    def servos_a_picture(self) -> int:
        """Places that the arms are told from one picture to the next."""
        return max(1, round(1e9 / self.realtime__camera_hz / (self.servo_steps * STEP_NS)))

    @property
    def channels(self) -> dict[str, str]:
        """Arm -> its CAN segment."""
        return {arm: getattr(self, f"arms__{arm}__can_channel") for arm in ARMS}

    @property
    def worker_arguments(self) -> tuple[str, ...]:
        """Of worker.py."""
        return ("--shader", self.shader, "--planner", self.planner)


def _dotted(field_name: str) -> str:
    return field_name.replace("__", ".")
