"""Parameters of the driver: what is out of range is refused with the range."""

from __future__ import annotations

import pytest

from piper_bringup.arm.config import DriverConfig
from piper_bringup.arm.watch import version


def test_names_are_dotted_and_go_round():
    values = DriverConfig.defaults()
    assert values["arms.left.can_channel"] == "can_left"
    assert values["auto_enable"] is False  # S16
    assert DriverConfig.from_parameters(values | {"gripper.max_width": 0.1}).gripper__max_width == 0.1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limits.velocity_rad_s", 3.5),
        ("limits.first_point_rad", 1.0),
        ("timeouts.feedback_hold_s", 1.0),
        ("speed_percent", 0.0),
        ("speed_percent", float("nan")),
        ("command_rate_hz", 1000),
        ("gripper.effort_nm", 5.0),
        ("on_shutdown", "drop"),
    ],
)
def test_a_value_that_would_loosen_an_s_rule_is_refused(name, value):
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        DriverConfig.from_parameters(DriverConfig.defaults() | {name: value})


def test_s04_the_firmware_speed_setting_caps_the_velocity_limit():
    config = DriverConfig()
    assert config.v_max(30.0)[0] == pytest.approx(0.9)
    assert config.v_max(100.0)[0] == pytest.approx(1.5)


def test_firmware_versions_compare_as_numbers():
    assert version("S-V1.8-10") > version("S-V1.8-9") > version("S-V1.6-3")
    with pytest.raises(ValueError, match="no PiPER firmware"):
        version("1.8b")
