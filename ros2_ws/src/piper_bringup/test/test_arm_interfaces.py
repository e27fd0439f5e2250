"""arm.interfaces: what `ip` says of CAN interfaces, and the one sentence about what is wrong."""

from __future__ import annotations

import copy
import json

import pytest

from piper_bringup.arm import interfaces

# As iproute2 6.1 prints it for a gs_usb adapter.
UP = json.loads(
    """{"ifindex": 5, "ifname": "can_left", "flags": ["NOARP", "UP", "LOWER_UP", "ECHO"], "mtu": 16, "operstate": "UP",
    "link_type": "can", "linkinfo": {"info_kind": "can", "info_data": {"state": "ERROR-ACTIVE", "restart_ms": 100,
    "bittiming": {"bitrate": 1000000, "sample_point": "0.750", "tq": 62}, "clock": 48000000}}}"""
)
ETHERNET = {"ifname": "eth0", "flags": ["UP"], "link_type": "ether"}


def changed(**data: object) -> dict:
    link = copy.deepcopy(UP)
    link["linkinfo"]["info_data"] |= data
    return link


def test_an_interface_that_is_up_at_one_megabit_is_as_it_should_be():
    assert interfaces.fault("can_left", {"can_left": UP}) == ""
    assert interfaces.bitrate(UP) == 1_000_000


@pytest.mark.parametrize(
    ("channel", "link", "says"),
    [
        ("can_right", None, "CAN interface can_right is not there; those here: can_left; docker/can/90-"),
        ("eth0", ETHERNET, "eth0 is no CAN interface (it is ether)"),
        ("can_x", UP | {"flags": ["NOARP", "ECHO"]}, "CAN interface can_x is down: sudo docker/can/can-up can_x"),
        ("can_x", changed(state="BUS-OFF"), "can_x is bus-off: look at cable and termination"),
        ("can_x", changed(bittiming={"bitrate": 500000}), "can_x is at 500000 bit/s, and a PiPER speaks 1000000"),
        ("can_x", changed(bittiming={}, bittiming_bitrate=250000), "can_x is at 250000 bit/s"),  # of fixed rates
    ],
)
def test_what_is_wrong_is_named_with_what_helps(channel, link, says):
    found = {"can_left": UP, "eth0": ETHERNET} | ({} if link is None else {channel: link})
    told = interfaces.fault(channel, found)
    assert says in told and "\n" not in told


def test_without_any_interface_none_is_listed():
    assert "those here: none;" in interfaces.fault("can_left", {"eth0": ETHERNET})


def test_a_rate_that_the_kernel_does_not_know_is_not_held_against_it():
    serial_line = {"flags": ["UP"], "link_type": "can"}
    virtual = serial_line | {"linkinfo": {"info_kind": "vcan", "info_data": {"bittiming_bitrate": 0}}}
    for link in (serial_line, virtual):
        assert interfaces.bitrate(link) is None
        assert interfaces.fault("vcan0", {"vcan0": link}) == ""


def answering(folder, monkeypatch, text: str, code: int = 0) -> None:
    """An `ip` that says this."""
    (folder / "said").write_text(text)
    tool = folder / "ip"
    tool.write_text(f'#!/bin/sh\nwhile read -r line; do echo "$line"; done <{folder / "said"}\nexit {code}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_ip_is_asked(tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, json.dumps([UP, ETHERNET]) + "\n")
    assert interfaces.interfaces() == {"can_left": UP, "eth0": ETHERNET}


@pytest.mark.parametrize(("text", "code"), [("", 1), ("no json\n", 0), ("[{}]\n", 0)])
def test_an_ip_that_says_nothing_is_named(tmp_path, monkeypatch, text, code):
    answering(tmp_path, monkeypatch, text, code)
    with pytest.raises(OSError, match="does not say which CAN interfaces there are"):
        interfaces.interfaces()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match="does not say which CAN interfaces there are"):
        interfaces.interfaces()
