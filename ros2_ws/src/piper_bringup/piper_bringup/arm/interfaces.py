"""Whether the kernel's CAN interfaces are as a PiPER wants them, as `ip` tells; asked before anything opens them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from piper_bringup.arm.link import BITRATE

Interfaces = Mapping[str, Mapping[str, Any]]
_SHOW = ("ip", "-details", "-json", "link", "show")
_VIRTUAL = ("vcan", "vxcan")  # have no bit rate
UP = "sudo docker/can/can-up"
RULES = "docker/can/90-piper-can.rules"


def interfaces() -> Interfaces:
    """Name -> what `ip` says of every network interface. Raises OSError where it says nothing."""
    try:
        done = subprocess.run(_SHOW, capture_output=True, text=True, timeout=10.0, check=True)
        return {link["ifname"]: link for link in json.loads(done.stdout)}
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise OSError(f"`{' '.join(_SHOW)}` does not say which CAN interfaces there are (iproute2): {error}") from error


def fault(channel: str, found: Interfaces) -> str:
    """What is wrong with an interface, and what helps, in one sentence; empty: nothing."""
    link = found.get(channel)
    if link is None:
        there = sorted(name for name, one in found.items() if one.get("link_type") == "can")
        return f"CAN interface {channel} is not there; those here: {', '.join(there) or 'none'}; {RULES} names adapters"
    if link.get("link_type") != "can":
        return f"network interface {channel} is no CAN interface (it is {link.get('link_type')})"
    if "UP" not in link.get("flags", ()):
        return f"CAN interface {channel} is down: {UP} {channel}"
    if _data(link).get("state") == "BUS-OFF":
        return f"CAN interface {channel} is bus-off: look at cable and termination, then {UP} {channel}"
    rate = bitrate(link)
    if rate is not None and rate != BITRATE:
        return f"CAN interface {channel} is at {rate} bit/s, and a PiPER speaks {BITRATE}: {UP} {channel}"
    return ""


def bitrate(link: Mapping[str, Any]) -> int | None:
    """[bit/s]; None where the kernel does not know it: a virtual interface, or a serial line's (slcan)."""
    data = _data(link)
    told = data.get("bittiming", {}).get("bitrate", data.get("bittiming_bitrate"))
    return None if link.get("linkinfo", {}).get("info_kind") in _VIRTUAL or told is None else int(told)


def _data(link: Mapping[str, Any]) -> Mapping[str, Any]:
    return link.get("linkinfo", {}).get("info_data", {})
