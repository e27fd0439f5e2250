"""The driver's process shares no memory with other ROS 2 processes, however it is started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from driver_rig import DriverRig

from piper_bringup.arm.transport import PROFILES, RANGE, TRANSPORTS, udp_only

CONFIG = Path(__file__).parents[1] / "config"
PROFILE = CONFIG / "fastdds_driver.xml"
XML = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
FAST_DDS = "rmw_fastrtps_cpp"


def changed(rmw: str = FAST_DDS, **environment: str) -> dict[str, str]:
    udp_only(environment, rmw, CONFIG)
    return environment


def test_a_profile_that_is_there_keeps_its_say_on_the_subnet():
    for given in ({}, {RANGE: "SUBNET"}, {RANGE: "SYSTEM_DEFAULT"}):
        given |= {PROFILES: "mine.xml"}
        assert changed(**given) == given | {TRANSPORTS: "UDPv4?non_blocking=true"}


@pytest.mark.parametrize("given", [{RANGE: "LOCALHOST"}, {"ROS_LOCALHOST_ONLY": "1"}])
def test_on_this_machine_only_it_is_the_profile_that_keeps_it_there(given):
    """rmw_fastrtps adds shared memory to LOCALHOST, whatever a profile says."""
    found = changed(**given, **{PROFILES: "mine.xml", "ROS_STATIC_PEERS": "10.0.0.7"})
    assert found[RANGE] == "SUBNET" and found[PROFILES] == str(PROFILE)
    assert "ROS_LOCALHOST_ONLY" not in found
    assert found["ROS_STATIC_PEERS"] == "10.0.0.7"
    assert changed(**found) == found


def test_another_middleware_is_left_alone():
    """There SUBNET would open what LOCALHOST closes."""
    assert changed("rmw_cyclonedds_cpp", **{RANGE: "LOCALHOST"}) == {RANGE: "LOCALHOST"}


def test_the_profile_has_udp_alone_no_multicast_and_the_lease_of_every_node():
    root, every_node = (ElementTree.parse(path).getroot() for path in (PROFILE, CONFIG / "fastdds.xml"))

    def text(name: str, tree: ElementTree.Element = root) -> list[str]:
        return [element.text for element in tree.iter(XML + name)]

    assert text("type") == ["UDPv4"] and text("TTL") == ["0"] and text("useBuiltinTransports") == ["false"]
    assert text("transport_id") == ["this_machine"] * 2
    assert text("address") == ["127.0.0.1"]
    lease = [text("sec", next(tree.iter(XML + "discovery_config"))) for tree in (root, every_node)]
    assert lease == [["3", "1"]] * 2
    assert text("nanosec") == ["10000000"]


def open_files(pid: int | str) -> set[str]:
    """Paths, and sockets as socket:[inode]."""
    found = set()
    for link in Path("/proc", str(pid), "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(link))
    return found


def shared_memory(pid: int | str) -> set[str]:
    """Files of Fast DDS in /dev/shm that a process maps or holds open."""
    maps = Path("/proc", str(pid), "maps").read_text()
    paths = [line.partition("/")[2] for line in maps.splitlines()]
    paths += [path.removeprefix("/") for path in open_files(pid)]
    return {path for path in paths if path.startswith(("dev/shm/fastrtps", "dev/shm/fastdds"))}


def udp_ports(pid: int) -> set[int]:
    """Bound by a process."""
    sockets = open_files(pid)
    rows = [line.split() for line in Path("/proc", str(pid), "net", "udp").read_text().splitlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if f"socket:[{row[9]}]" in sockets}


@pytest.mark.live
@pytest.mark.parametrize("discovery", ["LOCALHOST", "SUBNET"])
def test_it_talks_to_processes_with_shared_memory_and_has_none(discovery, monkeypatch):
    """A thread that opens another process's port may sleep 333 ms there, and with it the whole interpreter."""
    multicast_port = 7400 + 250 * int(os.environ["ROS_DOMAIN_ID"])
    rig = DriverRig()
    monkeypatch.setenv(RANGE, discovery)
    with rig as driver:
        driver.enabled()
        driver.follow(0.6)
        assert {"ENABLED", "CHUNK_FOLLOWED"} <= driver.reasons() and len(driver.joint_states) > 20
        assert shared_memory("self")
        assert not shared_memory(driver.process.pid)
        assert (multicast_port in udp_ports(driver.process.pid)) == (discovery == "SUBNET")
