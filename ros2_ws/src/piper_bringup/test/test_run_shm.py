"""shm: only files that nobody uses are removed, and only those of Fast DDS."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from piper_bringup import shm


@pytest.fixture
def place(tmp_path):
    """A /dev/shm and a /proc of our own."""
    (tmp_path / "shm").mkdir()
    (tmp_path / "proc" / "17" / "fd").mkdir(parents=True)
    (tmp_path / "proc" / "17" / "maps").write_text(
        "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n7f02-7f03 rw-p\n"
    )
    return tmp_path


def put(place: Path, *names: str) -> None:
    for name in names:
        (place / "shm" / name).touch()


def sweep(place: Path, young_s: float = 0.0) -> list[str]:
    return shm.sweep(place / "shm", place / "proc", young_s)


def left(place: Path) -> set[str]:
    return {path.name for path in (place / "shm").iterdir()}


def test_segments_of_the_dead_are_removed_and_nothing_else(place):
    dead = {"fastrtps_ab12", "fastrtps_ab12_el", "fastdds_cd34", "sem.fastrtps_port7411_mutex", "fastrtps_port7411"}
    others = {"psm_1234", "sem.other", "lttng-ust-wait-6", "fastrtps_ab12.txt"}
    put(place, *dead, *others)
    assert set(sweep(place)) == dead
    assert left(place) == others


@pytest.mark.parametrize("asked", ["_is_ours", "_abandoned"])
def test_what_two_runs_that_begin_at_once_both_remove_hinders_neither(place, monkeypatch, asked):
    put(place, "fastrtps_ab12", "fastrtps_cd34")
    real = getattr(shm, asked)

    def late(path, *others):
        if path.name == "fastrtps_ab12":
            path.unlink(missing_ok=True)  # by the other run, just before it is looked at
        return real(path, *others)

    monkeypatch.setattr(shm, asked, late)
    assert sweep(place) == ["fastrtps_cd34"] and not left(place)


def test_what_a_living_process_maps_stays_with_its_lock(place):
    put(place, "fastrtps_ab12", "fastrtps_ab12_el", "fastrtps_cd34")
    maps = place / "proc" / "17" / "maps"
    maps.write_text(maps.read_text() + f"7f04-7f05 rw-s 00000000 00:1a 99 {place / 'shm' / 'fastrtps_ab12'}\n")
    assert sweep(place) == ["fastrtps_cd34"]
    assert left(place) == {"fastrtps_ab12", "fastrtps_ab12_el"}


def test_what_a_living_process_holds_open_stays(place):
    put(place, "fastrtps_ab12", "fastrtps_ab12_el")
    (place / "proc" / "17" / "fd" / "3").symlink_to(place / "shm" / "fastrtps_ab12_el")
    assert sweep(place) == []
    assert left(place) == {"fastrtps_ab12", "fastrtps_ab12_el"}


def test_a_lock_held_by_a_process_that_we_cannot_see_protects_its_segment(place):
    put(place, "fastrtps_ab12", "fastrtps_ab12_el")
    with (place / "shm" / "fastrtps_ab12_el").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep(place) == []
    assert set(sweep(place)) == {"fastrtps_ab12", "fastrtps_ab12_el"}


def test_a_file_that_was_just_made_stays(place):
    put(place, "fastrtps_ab12")
    assert sweep(place, young_s=60.0) == []
    assert left(place) == {"fastrtps_ab12"}
