"""The adapters in a checkout: everything there, nothing of others touched, everything gone again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import adapters_rig as rig
import pytest
import yaml

from smp_policy.adapters.robotwin import __main__ as program
from smp_policy.adapters.robotwin import checkout
from smp_policy.adapters.robotwin.checkout import CheckoutError

BRANCHES = {
    "stable_2.0": (
        "policy/SMP/__init__.py", "policy/SMP/deploy_policy.py", "policy/SMP/deploy_policy.yml", "policy/SMP/eval.sh",
        "policy/SMP/where.json", "task_config/demo_piper_clean.yml", "task_config/demo_piper_randomized.yml",
    ),
    "main": (
        *(f"XPolicyLab/policy/SMP/{name}" for name in (
            "__init__.py", "deploy.py", "deploy.yml", "eval.sh", "install.sh", "model.py", "setup_eval_env_client.sh",
            "setup_eval_policy_server.sh", "where.json")),
        "env_cfg/piper.yml", "env_cfg/task_config/demo_piper_clean.yml",
        "env_cfg/task_config/demo_piper_randomized.yml",
    ),
}  # fmt: skip


def tree(root: Path) -> dict[str, bytes | None]:
    """Every file and folder."""
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


@pytest.fixture(params=BRANCHES)
def root(request, tmp_path):
    return rig.checkout(tmp_path / "RoboTwin", request.param)


def branch(root: Path) -> str:
    return "main" if (root / "XPolicyLab").is_dir() else "stable_2.0"


def test_installed_twice_and_removed_the_checkout_is_as_before(root):
    before = tree(root)
    assert "files installed" in program.install(root)
    once = tree(root)
    new = {name for name, data in once.items() if name not in before and data is not None}
    assert new == {*BRANCHES[branch(root)], program.MANIFEST}
    assert {name: once[name] for name in before} == before
    program.install(root)
    assert tree(root) == once
    cache = root / next(iter(new - {program.MANIFEST})).rsplit("/", 1)[0] / "__pycache__"
    for name in (name for name in new if name.endswith(".py")):
        compiled = (root / name).parent / "__pycache__" / f"{Path(name).stem}.cpython-310.pyc"
        compiled.parent.mkdir(exist_ok=True)
        compiled.write_bytes(b"compiled")
    assert "files removed" in program.remove(root)
    assert tree(root) == before and not cache.exists()
    with pytest.raises(CheckoutError, match="nothing of ours is installed here"):
        program.remove(root)


def test_task_configurations_are_robotwins_own_with_two_pipers(root):
    program.install(root)
    for name in BRANCHES[branch(root)]:
        if "demo_piper" in name:
            own = yaml.safe_load((root / name.replace("piper_", "")).read_text())
            assert yaml.safe_load((root / name).read_text()) == own | {"embodiment": ["piper", "piper", 0.6]}
        if name.endswith(".sh"):
            assert os.access(root / name, os.X_OK)
            assert subprocess.run(["bash", "-n", root / name]).returncode == 0
        if name.endswith("piper.yml"):
            assert yaml.safe_load((root / name).read_text())["config"]["robot"] == "dual_x5"


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_not_ours_is_never_overwritten(root, tmp_path, kind):
    name = BRANCHES[branch(root)][-1]
    (tmp_path / "elsewhere").write_text("theirs")
    make = {
        "file": lambda path: path.write_text("theirs"),
        "link": lambda path: path.symlink_to(tmp_path / "elsewhere"),
        "folder": lambda path: path.mkdir(),
    }
    make[kind](root / name)
    before = tree(root)
    with pytest.raises(CheckoutError, match=f"not ours, or changed since: {name}; nothing was installed"):
        program.install(root)
    assert tree(root) == before and (tmp_path / "elsewhere").read_text() == "theirs"


def test_what_was_changed_since_is_neither_overwritten_nor_removed(root):
    program.install(root)
    name = next(name for name in BRANCHES[branch(root)] if "SMP/deploy" in name and name.endswith(".yml"))
    (root / name).write_text("backend: torch\n")
    with pytest.raises(CheckoutError, match=f"changed since: {name}"):
        program.install(root)
    assert f"left there, because changed since: {name}" in program.remove(root)
    assert (root / name).read_text() == "backend: torch\n"
    assert not [other for other in BRANCHES[branch(root)] if other != name and (root / other).exists()]


def test_what_was_interrupted_can_be_removed_or_gone_on_with(root, monkeypatch):
    before, real, put = tree(root), program._put, []

    def interrupted(path, data):
        put.append(path)
        if len(put) == 4:
            raise KeyboardInterrupt
        real(path, data)

    for after in (program.remove, program.install):
        put.clear()
        monkeypatch.setattr(program, "_put", interrupted)
        with pytest.raises(KeyboardInterrupt):
            program.install(root)
        monkeypatch.setattr(program, "_put", real)
        after(root)
        if after is program.remove:
            assert tree(root) == before
    program.remove(root)
    assert tree(root) == before


def test_files_that_are_no_longer_ours_go_with_the_next_installation(root, monkeypatch):
    real = program.content
    monkeypatch.setattr(program, "content", lambda *args: real(*args) | {"old/file.txt": b"of an older version"})
    program.install(root)
    assert (root / "old/file.txt").exists()
    monkeypatch.setattr(program, "content", real)
    program.install(root)
    assert not (root / "old/file.txt").exists()


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(CheckoutError, match=r"is no checkout of RoboTwin 2\.0"):
        program.install(tmp_path)
    root = rig.checkout(tmp_path / "RoboTwin", "main")
    (root / "XPolicyLab/setup_policy_server.py").unlink()
    with pytest.raises(CheckoutError, match="git submodule update --init XPolicyLab"):
        program.install(root)


def test_a_configuration_that_says_its_embodiment_otherwise_is_refused(root):
    config = next(root.rglob("demo_clean.yml"))
    config.write_text("save_freq: 15\n")
    with pytest.raises(CheckoutError, match="0 lines begin with embodiment"):
        program.install(root)


def test_a_damaged_manifest_is_said(root):
    (root / program.MANIFEST).write_text("{")
    with pytest.raises(CheckoutError, match="is damaged, or of another software"):
        program.remove(root)


def test_the_program_says_what_it_did_and_what_it_cannot(root, tmp_path):
    def told(*words: object) -> tuple[int, str]:
        line = [sys.executable, "-m", "smp_policy.adapters.robotwin", *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    code, said = told("install", root)
    assert code == 0 and f"({branch(root)})" in said
    code, said = told("remove", root)
    assert code == 0 and "files removed" in said
    code, said = told("install", tmp_path / "nowhere")
    assert code == 1 and said.count("\n") == 1 and "is no checkout" in said


@pytest.mark.skipif("ROBOTWIN_ROOT" not in os.environ, reason="ROBOTWIN_ROOT names no checkout of RoboTwin")
def test_a_genuine_checkout_is_known():
    """Looked at only. Its own tables have to know the arms by our action profile as XPolicyLab does."""
    root = Path(os.environ["ROBOTWIN_ROOT"])
    branch = checkout.branch_of(root)
    content = checkout.content(root, branch)
    assert set(content) == set(BRANCHES[branch])
    if branch == checkout.MAIN:
        profile = yaml.safe_load(content["env_cfg/piper.yml"])["config"]
        known = json.loads((root / "env_cfg/robot/_robot_info.json").read_text())[profile["robot"]]
        assert known == json.loads((root / "XPolicyLab/utils/robot/_robot_info.json").read_text())["piper"]
        assert (root / "env_cfg/sim" / f"{profile['sim']}.yml").is_file()
