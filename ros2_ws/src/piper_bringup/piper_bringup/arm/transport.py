"""The driver's process speaks DDS over UDP only.

Whoever sends to a shared-memory port of Fast DDS 2.14 that it has not used yet may sleep for 333 ms in
`SharedMemGlobal::Port::healthy_check`, and for 1 s and more when the process behind the port is stopped. rclpy sends
while it holds the interpreter, so the command thread would stand still as well, with every emergency stop. What the
driver says and hears is small: UDP serves it as well.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

RANGE, LOCALHOST_ONLY = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY"
TRANSPORTS, PROFILES = "FASTDDS_BUILTIN_TRANSPORTS", "FASTRTPS_DEFAULT_PROFILES_FILE"


def udp_only(environment: MutableMapping[str, str], rmw: str, config: Path) -> None:
    """Change `environment` so that the participants which this process makes later use no shared memory.

    rmw: identifier of the middleware; those other than Fast DDS are left alone. config: installed config folder.
    A profile that the environment names already keeps its say, except on LOCALHOST: there rmw_fastrtps always adds
    shared memory itself, so the same range is described by a profile of ours.
    """
    if "fastrtps" not in rmw:
        return
    environment[TRANSPORTS] = "UDPv4?non_blocking=true"
    if environment.get(RANGE) == "LOCALHOST" or environment.get(LOCALHOST_ONLY) == "1":
        environment.pop(LOCALHOST_ONLY, None)
        environment[RANGE] = "SUBNET"  # leaves transports to the profile, which stays on this machine
        environment[PROFILES] = str(config / "fastdds_driver.xml")
