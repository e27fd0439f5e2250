"""The policy node over ROS 2: the real driver on emulated arms, a made-up model behind the node's one seam."""

from __future__ import annotations

import signal
import subprocess

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from driver_rig import PATIENCE_S
from fake_policy import TASKS, write_model
from lifecycle_msgs.msg import Transition
from policy_node_rig import PolicyRig, command, environment
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from piper_bringup.data import names

# Arms, driver and policy run in real time here; see test_driver_node.
pytestmark = pytest.mark.live


@pytest.fixture
def rig(tmp_path):
    with PolicyRig(tmp_path / "model") as rig:
        yield rig


def test_chunks_are_followed_until_cancelled_and_nobody_commands_then(rig):
    assert rig.commanders() == 0
    handle = rig.start()
    rig.until(lambda: bool(rig.said("DRIVER_NOT_READY")))  # DISABLED: enabling is somebody else's act
    assert rig.commanders() == 0 and not rig.skills
    rig.power()
    rig.until(lambda: rig.mode() == "FOLLOW" and rig.q()[0] > 0.1)
    assert np.abs(np.delete(rig.q(), 0) - [1.0, -1.0, 0.0, 0.3, 0.0, 0.0, 1.0, -1.0, 0.0, 0.3, 0.0]).max() < 0.02
    newest = rig.feedback[-1]
    assert newest.state == "RUNNING" and 0.0 < newest.queue_s < 0.9 and list(newest.active_experts) == [0, 1]
    rig.cancel(handle)
    status, result = rig.result(handle)
    assert status == GoalStatus.STATUS_CANCELED
    assert (result.reason, result.outcome) == ("cancelled", "unknown") and result.chunks == len(rig.skills)
    rig.until(lambda: rig.commanders() == 0 and rig.at_rest() and rig.mode() == "HOLD")
    ids = [skill.chunk_id for skill in rig.skills]
    assert ids == list(range(len(ids))) and rig.skills[-1].task == TASKS[0] and rig.skills[-1].total_ms > 0.0
    assert rig.statuses["left"].rejected_chunks == 0


def test_S12_joint_states_that_stop_stop_the_chunks_by_name_and_it_recovers(rig):
    rig.power()
    handle = rig.flying()
    rig.relaying = False
    rig.until(lambda: bool(rig.said("OBSERVATION_STALE")))
    rig.until_chunks_end()
    rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest())
    assert "joint_states: too old" in rig.said("OBSERVATION_STALE")[-1]
    assert rig.feedback[-1].state == "OBSERVATION_STALE" and rig.feedback[-1].queue_s == 0.0
    rig.relaying = True
    stood = rig.q()[0]
    rig.until(lambda: rig.mode() == "FOLLOW" and rig.q()[0] > stood + 0.02)
    rig.cancel(handle)
    assert rig.result(handle)[1].reason == "cancelled"


def test_S27_a_second_commander_is_named_nobody_moves_and_it_recovers(rig):
    rig.power()
    handle = rig.flying()
    other = rig.node.create_publisher(JointTrajectory, names.TOPIC_ACTION_CHUNK, 1)
    rig.until(lambda: bool(rig.said("TWO_COMMANDERS")))
    assert "/driver_test commands the arms too" in rig.said("TWO_COMMANDERS")[-1]
    rig.until_chunks_end()
    rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest())
    rig.node.destroy_publisher(other)
    stood = rig.q()[0]
    rig.until(lambda: rig.mode() == "FOLLOW" and rig.q()[0] > stood + 0.02)
    assert rig.ask("estop").success
    status, result = rig.result(handle)
    assert status == GoalStatus.STATUS_ABORTED and result.reason.startswith(("ESTOP", "ARM_ESTOP"))
    assert rig.commanders() == 0


def test_slow_inference_is_said_and_a_broken_answer_ends_the_run(rig):
    rig.power()
    handle = rig.flying()
    (rig.model / "slow").touch()
    rig.until(lambda: bool(rig.said("INFERENCE_SLOW")))
    rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest())
    (rig.model / "slow").unlink()
    stood = rig.q()[0]
    rig.until(lambda: rig.mode() == "FOLLOW" and rig.q()[0] > stood + 0.02)
    (rig.model / "nan").touch()
    status, result = rig.result(handle)
    assert status == GoalStatus.STATUS_ABORTED and result.reason == "MODEL_BROKEN"
    rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest())
    assert rig.statuses["left"].rejected_chunks == 0 and np.isfinite(rig.q()).all()
    assert rig.policy.poll() is None


def test_tasks_times_and_reloading(rig):
    rig.power()
    status, result = rig.result(rig.start(task="juggle"))
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, "TASK_UNKNOWN")
    handle = rig.flying(limit_s=3.0)
    assert not rig.reload().success  # while a run goes on
    status, result = rig.result(handle)
    assert (status, result.reason, result.outcome) == (GoalStatus.STATUS_SUCCEEDED, "time_over", "unknown")
    assert result.duration_s == pytest.approx(3.0, abs=0.3)
    write_model(rig.model, tasks=("juggle", "walk"))
    assert rig.reload().success
    topic = rig.node.create_publisher(String, names.TOPIC_TASK, 1)
    rig.until(lambda: topic.get_subscription_count() > 0)
    stood = rig.q()[0]
    topic.publish(String(data="juggle"))
    rig.until(lambda: rig.mode() == "FOLLOW" and rig.q()[0] > stood + 0.02 and rig.skills[-1].task == "juggle")
    topic.publish(String(data=""))
    rig.until(lambda: rig.commanders() == 0)
    assert rig.steer(Transition.TRANSITION_DEACTIVATE)
    made = len(rig.skills)
    topic.publish(String(data="juggle"))
    rig.spin(0.3)
    assert rig.steer(Transition.TRANSITION_ACTIVATE)
    rig.spin(1.0)
    assert rig.commanders() == 0 and len(rig.skills) == made  # what was sent while the node took no orders
    write_model(rig.model, dt_ns=100_000_000)
    answer = rig.reload()
    assert not answer.success and "contract.dt_ns" in answer.message


def test_a_dry_run_publishes_and_moves_nothing(tmp_path):
    with PolicyRig(tmp_path / "model", dry_run=True) as rig:
        rig.power()
        before = rig.q()
        handle = rig.start(limit_s=2.0)
        rig.until(lambda: len(rig.dry) >= 5)
        assert rig.commanders() == 0 and rig.dry[-1].points[-1].positions[0] > before[0] + 0.1
        assert rig.result(handle)[1].reason == "time_over"
        assert rig.mode() == "HOLD" and np.abs(rig.q() - before).max() < 0.005


def test_the_end_of_the_node_brings_the_arms_to_rest_and_its_death_does_too(tmp_path):
    with PolicyRig(tmp_path / "model") as rig:
        rig.power()
        rig.flying()
        rig.policy.send_signal(signal.SIGINT)
        output, _ = rig.policy.communicate(timeout=PATIENCE_S)
        assert rig.policy.returncode == 0 and "the policy node ends" in output and "Traceback" not in output
        rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest() and rig.commanders() == 0)
    with PolicyRig(tmp_path / "model", task=TASKS[0]) as rig:
        rig.power()
        rig.until(lambda: rig.mode() == "FOLLOW")  # asked for by its parameter
        rig.policy.kill()
        rig.until(lambda: rig.mode() == "HOLD" and rig.at_rest())


@pytest.mark.parametrize(
    ("changes", "parameters", "told"),
    [
        ({"dt_ns": 100_000_000}, {}, "contract.dt_ns: the model has 100000000, this software wants 50000000"),
        ({"trained_in": "simulation"}, {}, "allow_sim_model:=true"),
        ({"slots": 4}, {"allow_sim_model": True}, "ground truth"),
        ({}, {"backend": "tensorrt"}, "backend is 'tensorrt', valid: onnx, torch"),
        ({}, {"task": "juggle"}, "left_there, right_there"),
        ({}, {"rate": 5.0}, "rate_hz"),
        ({}, {"rate_hz": 500.0}, "rate_hz is 500.0, valid: 0.5 to 20"),
        ({}, {"use_sim_time": True}, "use_sim_time is for a simulator"),
    ],
)
def test_what_does_not_fit_ends_the_start_in_one_sentence(tmp_path, changes, parameters, told):
    model = write_model(tmp_path / "model", **changes)
    done = subprocess.run(
        command(model, **parameters), capture_output=True, text=True, timeout=PATIENCE_S, env=environment()
    )
    assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
