"""Contracts and normalisers: what is written is read bit for bit, what cannot be is refused by the field's name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import run_rig as rig

from piper_bringup.data import names
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.normaliser import Normaliser
from smp_policy.smp.config import PRESETS, of_tasks


@pytest.mark.parametrize("config", [*(of_tasks(make(), 2) for make in PRESETS.values()), rig.everything()])
def test_18_a_contract_is_read_back_bit_for_bit(config):
    made = rig.contract(config)
    read = Contract.from_json(made.to_json())
    assert read.to_json() == made.to_json()
    assert read.config == made.config and read.task_vectors == made.task_vectors and read.tasks == made.tasks
    for name in ("proprio_centre", "proprio_scale", "action_scale", "slot_centre", "slot_scale"):
        ours, theirs = getattr(made.normaliser, name), getattr(read.normaliser, name)
        assert ours.dtype == theirs.dtype == np.float32 and np.array_equal(ours, theirs)


def changed(path: str, value: object) -> str:
    """A contract's text with one value replaced; ... removes it."""
    values = json.loads(rig.contract().to_json())
    *parents, last = path.split(".")
    place = values
    for name in parents:
        place = place[name]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("format", "onnx", "format is not smp-policy"),
        ("version", 3, "version is 3, this software reads 2: a newer software wrote it"),
        ("version", 1, "version is 1, this software reads 2: train it again"),
        ("version", "2", "version is '2'"),
        ("version", True, "version is True"),
        ("dt_ns", ..., "contract lacks dt_ns"),
        ("dt_ns", 5e7, "contract.dt_ns is 50000000.0, wanted is int"),
        ("stride", True, "contract.stride is True, wanted is int"),
        ("gripper", 1, "contract has fields that this software does not know: gripper"),
        ("joints", "left_joint1", "contract.joints is 'left_joint1', wanted is list"),
        ("tasks", ["lift", 3], r"contract.tasks\[1\] is 3, wanted is str"),
        ("tasks", ["lift"], "contract.tasks: has 1 entries, the configuration wants 2"),
        ("tasks", ["lift", "lift"], "contract.tasks .each once.: has 1 entries"),
        ("instructions", ["lift"], "contract.instructions: has 1 entries"),
        ("cameras", ["head"], "contract.cameras: has 1 entries, the configuration wants 0"),
        ("task_vectors", [[1.0], [2.0]], "contract.task_vectors: has 2 entries, the configuration wants 0"),
        ("trained_in", "dreams", "contract.trained_in is 'dreams'; valid: simulation, robot, mixed"),
        ("notes", {"seed": 3}, "contract.notes.seed is 3, wanted is str"),
        ("normaliser", [1.0], "contract.normaliser is .*, wanted is dict"),
        ("normaliser.action_scale", ..., "normaliser: has .*; expected action_scale"),
        ("normaliser.action_scale", [1.0] * 13, "contract.normaliser.action_scale: has 13 entries"),
        ("normaliser.action_scale", [0.0] * 14, "normaliser.action_scale: .* scales above 0"),
        ("normaliser.action_scale", [1e300] * 14, "normaliser.action_scale: .* finite"),
        ("normaliser.action_scale", [[1.0]] * 14, "normaliser.action_scale is .* list of numbers"),
        ("normaliser.action_scale", "1", "normaliser.action_scale is '1', wanted is a list of numbers"),
        ("normaliser.proprio_centre", [0.0], "normaliser.proprio_centre: has 1 entries, proprio_scale has 14"),
        ("config.rows", "16", "contract.config.rows is '16', wanted is int"),
        ("config.experts", 15, "contract.config: experts = 15 must lie between"),
        ("config.gate.kappa", ..., "contract.config.gate lacks kappa"),
        ("config.gate.kappa", float("nan"), "contract.config.gate.kappa is nan, which is no number"),
        ("config.gate.concentration", [2.0], "contract.config.gate.concentration has 1 entries, 2 are wanted"),
        ("config.selection.rule", "best", "contract.config.selection.rule is 'best'; valid: coverage, top_k, all"),
        ("config.selection.tau", 2.0, "contract.config.selection: selection.tau = 2.0"),
    ],
)
def test_18_what_cannot_be_is_refused_by_name(path, value, says):
    with pytest.raises(ContractError, match=says):
        Contract.from_json(changed(path, value))


def test_18_what_was_no_choice_yet_is_read_as_models_then_were():
    values = json.loads(rig.contract().to_json())
    for name in ("bounded", "centre", "rank", "spans"):
        del values["config"]["basis"][name]
    for name in ("stop", "teaches_router"):
        del values["config"]["loss"][name]
    del values["config"]["encoder"]["told"]
    older = Contract.from_json(json.dumps(values))
    assert older.to_json() == rig.contract().to_json()
    assert older.config.basis.bounded and older.config.loss.stop
    assert older.config.basis.rank == 1 and older.config.basis.spans == "row"
    said = json.loads(changed("config.basis.bounded", False))
    assert not Contract.from_json(json.dumps(said)).config.basis.bounded


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "[" * 100_000, "\x00"])
def test_18_text_that_is_no_contract_is_refused(text):
    with pytest.raises(ContractError):
        Contract.from_json(text)


def test_18_a_contract_cut_anywhere_is_refused():
    text = rig.contract().to_json()
    for end in range(0, len(text) - 1, 37):
        with pytest.raises(ContractError, match="not JSON, or truncated"):
            Contract.from_json(text[:end])


def test_a_folder_without_a_contract_or_with_a_damaged_one_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"nothing is no model: contract.json is missing"):
        Contract.read(tmp_path / "nothing")
    (tmp_path / "contract.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ContractError, match=r"contract.json cannot be read"):
        Contract.read(tmp_path)
    (tmp_path / "contract.json").write_text("{}")
    with pytest.raises(ContractError, match=r"contract.json: contract: format"):
        Contract.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"joints": names.JOINTS[::-1]}, "contract.joints: the model has"),
        ({"dt_ns": 40_000_000}, "contract.dt_ns: the model has 40000000, this software wants 50000000"),
        ({"stride": 8}, "contract.stride: the model has 8"),
        ({"image_px": 128}, "contract.image_px: the model has 128"),
        ({"config": replace(rig.tiny(), rows=8)}, "contract.config.rows: the model has 8, this software wants 16"),
    ],
)
def test_18_a_model_of_other_arms_or_rates_is_refused_by_name(change, says):
    with pytest.raises(ContractError, match=says):
        rig.contract(**change).refuse()
    rig.contract().refuse()


def test_18_an_unknown_camera_is_refused_by_name():
    with pytest.raises(ContractError, match=r"contract.cameras: nose unknown; valid: head, left_wrist"):
        rig.contract(rig.seeing(cameras=1), cameras=("nose",)).refuse()


def test_18_two_contracts_are_compared_field_by_field_and_notes_may_differ():
    made = rig.contract()
    assert made.differs(rig.contract(notes={"seed": "4"})) is None
    looser = replace(made.config, gate=replace(made.config.gate, kappa=40.0))
    assert made.differs(replace(made, config=looser)) == "contract.config.gate.kappa: 50.0 against 40.0"
    assert "contract.trained_in" in made.differs(rig.contract(trained_in="robot"))
    scale = replace(made.normaliser, action_scale=np.nextafter(made.normaliser.action_scale, np.float32(9)))
    assert "contract.normaliser.action_scale[0]" in made.differs(replace(made, normaliser=scale))


def test_tasks_are_told_by_number_or_by_their_vector():
    assert [rig.contract().task_input(task) for task in rig.TASKS] == [0, 1]
    by_text = rig.contract(rig.everything())
    vector = by_text.task_input("pour")
    assert vector.dtype == np.float32 and np.array_equal(vector, np.array(by_text.task_vectors[1], np.float32))
    for made in (rig.contract(), by_text):
        with pytest.raises(ContractError, match="task 'fly' is not one of the model's: lift, pour"):
            made.task_input("fly")


def test_a_vector_of_another_width_is_refused():
    with pytest.raises(ContractError, match=r"contract.task_vectors\[1\]: has 2 entries, the configuration wants 5"):
        rig.contract(rig.everything(), task_vectors=((0.0,) * 5, (0.0,) * 2))


def test_proprioception_is_joints_or_joints_and_their_motion():
    with pytest.raises(ContractError, match=r"contract.config.encoder.proprio is 15; valid: 14 .joints., 28"):
        rig.contract(rig.seeing(proprio=15))


def test_15_a_chunk_survives_normalising_and_zeros_leave_the_arms_where_they_were_sent():
    n, rng = rig.normaliser(rig.tiny().encoder), np.random.default_rng(0)
    target, rows = rng.normal(size=(5, 14)), rng.normal(size=(5, 16, 14))
    coded = n.encode(rows, target)
    np.testing.assert_allclose(n.decode(coded, target), rows, rtol=0, atol=1e-6)
    assert not n.encode(np.repeat(target[:, None], 16, axis=1), target).any()
    assert np.array_equal(n.decode(np.zeros((5, 16, 14), np.float32), target), np.repeat(target[:, None], 16, axis=1))


def test_15_the_way_to_the_set_points_is_seen_only_where_there_are_scales_for_it():
    rng = np.random.default_rng(0)
    q, target = rng.normal(size=14), rng.normal(size=14)
    short, long = (rig.normaliser(rig.seeing(proprio=p).encoder) for p in (14, 28))
    assert np.array_equal(short.proprio(q, target), short.proprio(q, q))
    seen = long.proprio(q, target)
    np.testing.assert_allclose(seen * long.proprio_scale + long.proprio_centre, np.append(q, target - q), atol=1e-6)


def test_15_scales_that_cannot_be_are_refused():
    ones = np.ones(14)
    for bad in (-ones, 0 * ones, np.nan * ones, ones[None]):
        with pytest.raises(ValueError, match=r"normaliser.action_scale"):
            Normaliser(ones, ones, bad, ones[:0], ones[:0])
