"""What can be wrong with an emulated arm. Assign a new `Faults` to `EmulatedArm.faults` at any time."""

from __future__ import annotations

from dataclasses import dataclass, fields

JOINT_NUMBERS = frozenset(range(1, 7))


@dataclass(frozen=True)
class Faults:
    """Faults in force; the default is a healthy arm. Joints are numbered 1..6, 7 is the gripper.

    Collision, stall, over-temperature, low voltage and `driver_bits` latch as the drives' errors do: after
    the cause is gone they stay until cleared (0x475 or reset). The others last as long as they are set.
    """

    mute: bool = False  # nothing at all reaches the wire
    mute_ids: frozenset[int] = frozenset()  # these identifiers never reach it
    deaf: bool = False  # ignores every frame while its feedback runs on
    no_firmware: bool = False  # never answers 0x4AF
    absurd_limits: bool = False  # answers 0x472 with limits no arm has (pyAgxArm issue 55)
    frozen_encoders: bool = False  # positions stop changing while frames go on
    enable_refused: frozenset[int] = frozenset()
    joint_comm: frozenset[int] = frozenset()  # lost by the controller: frames stop, the angle freezes
    collision: frozenset[int] = frozenset()
    stall: frozenset[int] = frozenset()
    over_temperature: frozenset[int] = frozenset()
    low_voltage: bool = False
    arm_status: int = 0  # byte 1 of 0x2A1 whatever the arm does; 0 leaves it to the arm
    ctrl_mode: int = -1  # byte 0 of 0x2A1 whatever the arm does; -1 leaves it to the arm
    driver_bits: int = 0  # added to byte 5 of every 0x261-0x266
    gripper_bits: int = 0  # added to byte 6 of 0x2A8

    def __post_init__(self) -> None:
        if not (0 <= self.arm_status <= 255 and -1 <= self.ctrl_mode <= 255):
            raise ValueError(f"arm_status {self.arm_status} and ctrl_mode {self.ctrl_mode} must fit in one byte")
        for name in ("enable_refused", "joint_comm", "collision", "stall", "over_temperature"):
            allowed = JOINT_NUMBERS | {7} if name == "enable_refused" else JOINT_NUMBERS
            if wrong := getattr(self, name) - allowed:
                raise ValueError(f"{name}: joints {sorted(wrong)} do not exist, valid are {sorted(allowed)}")


def parse_faults(words: list[str]) -> Faults:
    """Faults from words such as `mute`, `collision=3`, `joint_comm=2,5`, `mute_ids=0x2A1`, `arm_status=0xE`.

    Raises ValueError that lists the valid names.
    """
    kinds = {field.name: type(field.default) for field in fields(Faults)}
    values = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in kinds:
            raise ValueError(f"unknown fault {name!r}; valid are {', '.join(kinds)}")
        if kinds[name] is not bool and not text:
            raise ValueError(f"fault {name} needs a value, such as {name}=3")
        if kinds[name] is bool:
            values[name] = True
        elif kinds[name] is int:
            values[name] = int(text, 0)
        else:
            values[name] = frozenset(int(number, 0) for number in text.split(","))
    return Faults(**values)
