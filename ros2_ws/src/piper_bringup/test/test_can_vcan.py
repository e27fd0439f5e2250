"""The virtual CAN segment and its python-can interface, within a process and between processes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import can
import pytest
from can_rig import WAIT_S, fresh_channel, wait_until

from piper_bringup.can import places, wire
from piper_bringup.can.places import SegmentError, live_segments
from piper_bringup.can.segment import CLOCK_STEP_NS, Segment
from piper_bringup.can.wire import Frame

HOST = "import sys, time; from piper_bringup.can.segment import Segment; s = Segment(sys.argv[1]); {}"
HOST_SLEEPS = HOST.format("print('up', flush=True); time.sleep(60)")


@pytest.fixture
def channel():
    return fresh_channel()


@pytest.fixture
def segment(channel):
    with Segment(channel) as hosted:
        yield hosted


@pytest.fixture
def open_bus(channel):
    """Opens handles on the channel and shuts them down at the end."""
    opened = []

    def bus(**kwargs):
        opened.append(can.Bus(interface="smp_vcan", channel=channel, **kwargs))
        return opened[-1]

    yield bus
    for handle in opened:
        handle.shutdown()


@pytest.fixture
def host(channel):
    """Hosts the channel in another process."""
    process = subprocess.Popen([sys.executable, "-c", HOST_SLEEPS, channel], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait(WAIT_S)
    process.stdout.close()


def message(arbitration_id=0x123, data=b"\1\2", **kwargs) -> can.Message:
    return can.Message(arbitration_id=arbitration_id, data=data, is_extended_id=False, **kwargs)


def test_frames_reach_every_other_participant_in_order(segment, open_bus):
    port, other_port = segment.attach(), segment.attach()
    sender, listener = open_bus(), open_bus()
    for number in range(50):
        sender.send(message(number, bytes([number])))
    got = [listener.recv(WAIT_S) for _ in range(50)]
    assert [(m.arbitration_id, bytes(m.data)) for m in got] == [(n, bytes([n])) for n in range(50)]
    wait_until(lambda: len(other_port._inbox) == 50, "the port to hear 50 frames")
    assert [f.arbitration_id for f in port.receive()] == list(range(50))
    assert sender.recv(0) is None, "never back to the sender"
    port.send([Frame(0x2A1, b"12345678"), Frame(0x2A2, b"")])
    for handle in (sender, listener):
        assert [handle.recv(WAIT_S).arbitration_id for _ in range(2)] == [0x2A1, 0x2A2]
    assert [f.arbitration_id for f in other_port.receive()][-2:] == [0x2A1, 0x2A2]
    assert port.receive() == []


def test_own_messages_come_back_only_on_request(segment, open_bus):
    bus = open_bus(receive_own_messages=True)
    bus.send(message())
    got = bus.recv(WAIT_S)
    assert got.arbitration_id == 0x123 and not got.is_rx


def test_without_local_loopback_the_own_process_does_not_hear(segment, open_bus, channel):
    """piper_sdk 0.6.2 opens two handles; hearing itself would hide that the arm is dead."""
    quiet, same_process = open_bus(local_loopback=False, bitrate=1000000), open_bus()
    script = (
        "import can, sys; b = can.Bus(interface='smp_vcan', channel=sys.argv[1]);"
        f"print('open', flush=True); print(b.recv({WAIT_S}).arbitration_id); b.shutdown()"
    )
    other = subprocess.Popen([sys.executable, "-c", script, channel], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "open\n"
    quiet.send(message(0x155))
    assert other.stdout.readline() == f"{0x155}\n", "other processes do hear"
    other.stdout.close()
    assert other.wait(WAIT_S) == 0
    assert same_process.recv(0) is None


def test_every_kind_of_frame_survives(segment, open_bus):
    sender, listener = open_bus(), open_bus()
    kinds = [
        can.Message(arbitration_id=0x1FFFFFFF, is_extended_id=True, data=b"abcdefgh"),
        can.Message(arbitration_id=0x7FF, is_extended_id=False, is_remote_frame=True, dlc=5),
        can.Message(arbitration_id=0x001, is_extended_id=False, is_error_frame=True, data=b"\0"),
        can.Message(arbitration_id=0x000, is_extended_id=False, data=b""),
    ]
    for kind in kinds:
        sender.send(kind)
        got = listener.recv(WAIT_S)
        assert got.equals(kind, timestamp_delta=None, check_channel=False, check_direction=False), got


def test_what_a_segment_cannot_carry_is_refused(segment, open_bus):
    bus = open_bus()
    with pytest.raises(ValueError, match="CAN FD"):
        bus.send(can.Message(is_fd=True, data=bytes(12)))
    with pytest.raises(ValueError, match="0x800 is outside"):
        bus.send(message(0x800))
    with pytest.raises(ValueError, match="9 data bytes"):
        bus.send(message(1, bytes(9)))


def test_receive_timeouts(segment, open_bus):
    bus = open_bus()
    assert bus.recv(0) is None
    start = time.monotonic()
    assert bus.recv(0.05) is None
    assert time.monotonic() - start >= 0.05
    timer = threading.Timer(0.05, lambda: segment.attach().send([Frame(7, b"")]))
    timer.start()
    assert bus.recv(None).arbitration_id == 7
    timer.join()


def test_filters(segment, open_bus):
    bus = open_bus(can_filters=[{"can_id": 0x2A0, "can_mask": 0x7F0}])
    port = segment.attach()
    port.send([Frame(0x251, b""), Frame(0x2A5, b""), Frame(0x261, b"")])
    assert bus.recv(WAIT_S).arbitration_id == 0x2A5
    assert bus.recv(0.01) is None
    bus.set_filters(None)
    port.send([Frame(0x251, b"")])
    assert bus.recv(WAIT_S).arbitration_id == 0x251


def test_the_file_descriptor_is_readable_until_the_last_frame_of_a_packet(segment, open_bus):
    bus = open_bus()
    segment.attach().send([Frame(number, b"") for number in range(3)])
    for number in range(3):
        assert select.select([bus.fileno()], [], [], WAIT_S)[0], f"frame {number} waits"
        assert bus.recv(0).arbitration_id == number
    assert not select.select([bus.fileno()], [], [], 0)[0]


def test_a_notifier_hears_everything(segment, open_bus):
    heard = []
    notifier = can.Notifier(open_bus(), [heard.append], timeout=0.1)
    segment.attach().send([Frame(number, b"") for number in range(600)])
    wait_until(lambda: len(heard) == 600, "600 frames")
    notifier.stop()
    assert [m.arbitration_id for m in heard] == list(range(600))


def test_stamps_are_the_wires_and_never_run_backwards(channel, open_bus):
    times_ns = iter([10**18, 10**18 + 5, 10**18 - 7, 10**18 + 9, 10**18 - 2 * CLOCK_STEP_NS])
    with Segment(channel, clock_ns=lambda: next(times_ns)) as segment:
        bus, port = open_bus(), segment.attach()
        stamps = []
        for _ in range(5):
            port.send([Frame(1, b"", t_ns=123), Frame(2, b"")])
            pair = [bus.recv(WAIT_S).timestamp for _ in range(2)]
            assert pair[0] == pair[1]
            stamps.append(pair[0])
    assert stamps[:4] == [(10**18 + ns) / 1e9 for ns in (0, 5, 5, 9)]
    assert stamps[4] == (10**18 - 2 * CLOCK_STEP_NS) / 1e9, "a clock that was set back is followed"


def test_a_client_that_never_reads_harms_nobody(segment, open_bus):
    _, reader, port = open_bus(), open_bus(), segment.attach()
    batch = [Frame(0x2A1 + number, bytes(8)) for number in range(15)]
    for _ in range(1000):
        port.send(batch)
        for _ in batch:
            assert reader.recv(WAIT_S) is not None
    stuck, reading = segment.clients
    assert (reading.frames, reading.lost) == (15_000, 0)
    assert stuck.lost > 10_000 and stuck.frames + stuck.lost == 15_000
    assert stuck.frames <= 278 * 15, "bounded by the socket's buffer"


def test_a_full_port_loses_its_oldest_frames_and_counts_them(segment):
    port, talker = segment.attach(), segment.attach()
    for start in range(0, 10_000, 100):
        talker.send([Frame(number, b"") for number in range(start, start + 100)])
    got = [frame.arbitration_id for frame in port.receive()]
    assert got == list(range(10_000 - len(got), 10_000))
    assert port.lost == 10_000 - len(got) > 0


def test_sending_from_four_threads_loses_and_mixes_nothing(segment, open_bus):
    bus, port = open_bus(), segment.attach()

    def send(thread: int) -> None:
        for number in range(500):
            bus.send(message(thread, bytes([thread, number % 256, number // 256])), timeout=WAIT_S)

    with ThreadPoolExecutor() as pool:
        for sender in [pool.submit(send, number) for number in range(4)]:
            sender.result(WAIT_S)
    wait_until(lambda: len(port._inbox) == 2000, "2000 frames")
    got = port.receive()
    for thread in range(4):
        mine = [f.data for f in got if f.arbitration_id == thread]
        assert mine == [bytes([thread, n % 256, n // 256]) for n in range(500)]


def test_opening_a_segment_nobody_hosts_names_it_and_those_that_exist(segment):
    with pytest.raises(can.CanInitializationError, match="nobody hosts segment gone.*" + segment.channel):
        can.Bus(interface="smp_vcan", channel="gone")
    assert segment.channel in live_segments()
    assert {"interface": "smp_vcan", "channel": segment.channel} in can.detect_available_configs("smp_vcan")


def test_a_second_host_is_refused_and_the_first_named(host, channel, open_bus):
    with pytest.raises(SegmentError, match=f"already hosted by process {host.pid}"):
        Segment(channel)
    assert open_bus().state == can.BusState.ACTIVE, "the first one lives on"


def test_a_killed_host_is_noticed_at_once_and_its_name_is_free_again(host, channel, open_bus):
    bus = open_bus()
    bus.send(message())
    assert bus.state == can.BusState.ACTIVE
    started = threading.Event()
    raised = []

    def read() -> None:
        started.set()
        try:
            bus.recv(WAIT_S)
        except can.CanOperationError as error:
            raised.append((time.monotonic(), str(error)))

    reader = threading.Thread(target=read)
    reader.start()
    started.wait(WAIT_S)
    killed = time.monotonic()
    host.send_signal(signal.SIGKILL)
    reader.join(WAIT_S)
    assert raised and raised[0][0] - killed < WAIT_S / 2, "a blocked recv wakes"
    assert channel in raised[0][1]
    with pytest.raises(can.CanOperationError, match="is gone"):
        bus.send(message())
    assert bus.state == can.BusState.ERROR
    host.wait(WAIT_S)
    assert places.socket_path(channel).exists(), "a killed host leaves its socket"
    with pytest.raises(can.CanInitializationError, match="nobody hosts"):
        open_bus()
    with Segment(channel), pytest.raises(can.CanOperationError):
        assert open_bus().state == can.BusState.ACTIVE
        bus.recv(0)


def test_an_idle_handle_tells_a_dead_host_without_sending(host, open_bus):
    bus = open_bus()
    host.kill()
    wait_until(lambda: bus.state == can.BusState.ERROR, "the state to turn to ERROR")


def test_stale_sockets_are_swept_when_the_next_segment_starts(host, channel):
    host.kill()
    host.wait(WAIT_S)
    assert places.socket_path(channel).exists()
    with Segment(fresh_channel()):
        assert not list(places.directory().glob(f"{channel}*"))


def test_a_closed_segment_leaves_nothing_behind(channel):
    Segment(channel).close()
    assert not list(places.directory().glob(f"{channel}*"))


def test_racing_hosts_agree_on_one(channel):
    """Hosts come and go in four threads: never two at a time, and the name is never lost."""
    hosting, most = [], []

    def host_repeatedly() -> None:
        for _ in range(40):
            with contextlib.suppress(SegmentError), Segment(channel) as segment:
                hosting.append(segment)
                most.append(len(hosting))
                hosting.remove(segment)

    with ThreadPoolExecutor() as pool:
        for racer in [pool.submit(host_repeatedly) for _ in range(4)]:
            racer.result(WAIT_S)
    assert set(most) == {1}
    Segment(channel).close()


def test_a_hung_host_makes_send_fail_instead_of_block(host, open_bus):
    bus = open_bus()
    host.send_signal(signal.SIGSTOP)
    status = Path(f"/proc/{host.pid}/stat")
    wait_until(lambda: status.read_text().rsplit(")", 1)[1].split()[0] == "T", "the host to stand still")
    try:
        with pytest.raises(can.CanOperationError, match="transmit queue full"):
            for _ in range(100_000):
                bus.send(message())
        with pytest.raises(can.CanOperationError, match="transmit queue full"):
            bus.send(message(), timeout=0.02)
        assert bus.state == can.BusState.ACTIVE, "the segment is not gone"
    finally:
        host.send_signal(signal.SIGCONT)
    bus.send(message(), timeout=WAIT_S)


def test_bus_loss_and_return_while_the_host_lives(segment, open_bus):
    bus, port = open_bus(), segment.attach()
    segment.down()
    assert not segment.is_up
    with pytest.raises(can.CanOperationError):
        bus.recv(WAIT_S)
    with pytest.raises(can.CanOperationError):
        bus.send(message())
    with pytest.raises(can.CanInitializationError):
        open_bus()
    port.send([Frame(1, b"")])
    segment.up()
    again = open_bus()
    port.send([Frame(2, b"")])
    assert again.recv(WAIT_S).arbitration_id == 2, "nothing of the time without a bus arrives late"
    assert bus.state == can.BusState.ERROR, "an old handle stays dead"


def test_shutdown_wakes_a_blocked_reader_and_may_be_repeated(segment, open_bus):
    bus = open_bus()
    raised = threading.Event()

    def read() -> None:
        with pytest.raises(can.CanOperationError, match="shut down"):
            bus.recv(None)
        raised.set()

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    bus.shutdown()
    bus.shutdown()
    assert raised.wait(WAIT_S)
    reader.join()
    assert bus.fileno() == -1 and bus.state == can.BusState.ERROR
    wait_until(lambda: segment.clients == (), "the host to forget the handle")


def test_a_client_that_talks_nonsense_is_dropped_alone(segment, open_bus):
    bus, port = open_bus(), segment.attach()
    for junk in (b"hello", wire.HELLO.pack(b"XXXX", 1, 0, 0, b""), wire.HELLO.pack(wire.MAGIC, 9, 0, 0, b"")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
            raw.settimeout(WAIT_S)
            raw.connect(os.fspath(places.socket_path(segment.channel)))
            raw.send(junk)
            assert raw.recv(64) == b"", "the host hangs up"
    assert len(segment.clients) == 1
    port.send([Frame(5, b"")])
    assert bus.recv(WAIT_S).arbitration_id == 5


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "spa ce", "x" * 120])
def test_impossible_names_are_refused(name):
    with pytest.raises(SegmentError):
        Segment(name)
    with pytest.raises(can.CanInitializationError):
        can.Bus(interface="smp_vcan", channel=name)


def test_the_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.delenv(places.DIRECTORY_VARIABLE, raising=False)
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    with Segment("a"):
        assert places.directory().stat().st_mode & 0o777 == 0o700
    places.directory().chmod(0o777)
    with pytest.raises(SegmentError, match=r"mode 700, found .* 777"):
        Segment("a")
    with pytest.raises(can.CanInitializationError, match="mode 700"):
        can.Bus(interface="smp_vcan", channel="a")


def test_the_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv(places.DIRECTORY_VARIABLE, str(tmp_path / "wires"))
    with Segment("here") as segment:
        assert live_segments() == ["here"]
        bus = can.Bus(interface="smp_vcan", channel="here")
        segment.attach().send([Frame(1, b"")])
        assert bus.recv(WAIT_S).arbitration_id == 1
        bus.shutdown()
    assert live_segments() == []
    monkeypatch.setenv(places.DIRECTORY_VARIABLE, str(tmp_path / ("deep" * 40)))
    with pytest.raises(SegmentError, match=places.DIRECTORY_VARIABLE):
        Segment("here")
