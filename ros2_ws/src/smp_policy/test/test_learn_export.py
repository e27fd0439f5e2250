"""Export as a program: 1000 observations compared, a report, no graph put in place that answers otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import learn_rig
import numpy as np
import onnx
import pytest
import run_rig as rig
import torch

from piper_bringup.data.episode import EpisodeError
from smp_policy.learn import export, parity, trace
from smp_policy.learn.export import REPORT, Args
from smp_policy.learn.parity import Parity, near_boundary
from smp_policy.run import graphs
from smp_policy.run.backend_onnx import OnnxBackend
from smp_policy.run.backend_torch import load, save
from smp_policy.run.contract import Contract, ContractError
from smp_policy.run.open import open_policy
from smp_policy.smp.config import Selection, of_tasks, state, tiny

torch.set_num_threads(1)


def of_data(path: Path, config=None) -> Path:
    """A model of the tasks of `learn_rig`."""
    config = config or learn_rig.tiny_with_slots()
    contract = rig.contract(config, tasks=learn_rig.TASKS)
    save(path, contract, rig.network(config).state_dict())
    return path


def test_17_a_thousand_random_observations_agree_and_the_graphs_are_put_in_place(tmp_path):
    model = rig.folder(tmp_path / "model")
    found = export.run(Args(model))["random"]
    assert found.observations == 1000 and found.exceeded("random") == [] and found.other_experts == 0
    assert found.chunk > 0.0  # two libraries never add alike: 0 would mean that nothing was compared
    report = json.loads((model / REPORT).read_text())
    assert report["passed"] and report["found"]["random"]["chunk"] == found.chunk
    assert report["weights"] == graphs.digest(model)
    assert sorted(p.name for p in model.iterdir()) == [
        "contract.json", "denoise.onnx", "encode.onnx", "model.safetensors", REPORT
    ]  # fmt: skip
    open_policy(model).act(rig.query())


def test_17_recorded_observations_are_those_of_the_episodes(tmp_path):
    data = learn_rig.dataset(tmp_path / "data", episodes=2)
    model = of_data(tmp_path / "model")
    found = export.run(Args(model, data=(data,), observations=30))
    assert found["recorded"].observations == 30 and found["recorded"].exceeded("random") == []


def test_17_recorded_pictures_are_compared_too(tmp_path, monkeypatch):
    blocks = np.random.default_rng(0).integers(256, size=(60, 80, 3), dtype=np.uint8)
    monkeypatch.setattr(
        learn_rig, "picture", lambda *which: np.roll(blocks, which, (0, 1, 2)).repeat(4, 0).repeat(4, 1)
    )
    data = learn_rig.dataset(tmp_path / "data", episodes=1, images=True, objects=False)
    model = of_data(tmp_path / "model", rig.seeing(cameras=3))
    assert export.run(Args(model, data=(data,), observations=6))["recorded"].exceeded("random") == []


def test_episodes_of_other_tasks_or_without_what_the_model_reads_are_refused(tmp_path):
    data = learn_rig.dataset(tmp_path / "data", episodes=1)
    with pytest.raises(EpisodeError, match="no episode of lift, pour in"):
        export.run(Args(rig.folder(tmp_path / "other"), data=(data,), observations=1))
    with pytest.raises(EpisodeError, match="no pictures, and it cannot be played again: no task"):
        export.run(Args(of_data(tmp_path / "seeing", rig.seeing(cameras=3)), data=(data,), observations=1))
    bare = learn_rig.dataset(tmp_path / "bare", episodes=1, objects=False)
    with pytest.raises(ContractError, match=r"query\.objects: none"):
        export.run(Args(of_data(tmp_path / "slots"), data=(bare,), observations=1))


def test_17_a_state_model_is_exported_with_all_its_experts(tmp_path):
    config = of_tasks(state(), 2)
    model = rig.folder(tmp_path / "model", config)
    assert export.run(Args(model, observations=20))["random"].exceeded("random") == []
    weights = load(model)[1].experts.state_dict()
    held = [onnx.numpy_helper.to_array(x) for x in onnx.load(model / graphs.DENOISE).graph.initializer]
    for name, weight in weights.items():
        if weight.dim() == 3 and not name.startswith("time"):  # those are a table, which `trace` checks
            assert weight.shape[0] == 8 and any(np.array_equal(x, weight.numpy()) for x in held), name
    assert sum((model / name).stat().st_size for name in graphs.GRAPHS) < 60e6


@pytest.mark.parametrize("per_arm", [False, True])
@pytest.mark.parametrize(
    "changes", [{"experts": 7, "basis": {"rank": 2}}, {"basis": {"spans": "chunk"}}], ids=["rank 2", "chunk basis"]
)
def test_17_models_of_ablation_a8_are_exported_too(changes, per_arm, tmp_path):
    basis = replace(tiny().basis, **changes["basis"])
    model = rig.folder(
        tmp_path / "model", replace(tiny(), **changes | {"basis": basis}, selection=Selection(per_arm=per_arm))
    )
    assert export.run(Args(model, observations=60))["random"].exceeded("random") == []
    open_policy(model).act(rig.query(rows=3))


def test_18_every_graph_says_what_it_is(tmp_path):
    model = rig.folder(tmp_path / "model")
    export.run(Args(model, observations=1))
    for name in graphs.GRAPHS:
        graph = onnx.load(model / name)
        said = {p.key: p.value for p in graph.metadata_props}
        assert Contract.from_json(said["contract"]).to_json() == (model / "contract.json").read_text()
        assert next(o.version for o in graph.opset_import if not o.domain) == int(said["opset"])
        assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}  # standard operators: any provider
        onnx.checker.check_model(graph)


def test_equal_models_give_equal_graphs(tmp_path):
    """No path, name or time of the machine that exported gets into them."""
    models = [rig.folder(tmp_path / name) for name in ("one", "other")]
    for model in models:
        export.run(Args(model, observations=1))
    for name in graphs.GRAPHS:
        content = (models[0] / name).read_bytes()
        assert content == (models[1] / name).read_bytes()
        assert str(tmp_path).encode() not in content and b"site-packages" not in content


def test_a_graph_that_answers_otherwise_is_not_put_in_place(tmp_path, monkeypatch):
    model = rig.folder(tmp_path / "model")
    export.run(Args(model, observations=1))
    before = (model / graphs.DENOISE).read_bytes()
    right = OnnxBackend.denoise
    monkeypatch.setattr(OnnxBackend, "denoise", lambda *a: right(*a) + np.float32(2e-4))
    found = export.run(Args(model, observations=3, seed=1))["random"]
    assert [text[:20] for text in found.exceeded("random")] == ["chunk differs by 2.0"]
    assert not json.loads((model / REPORT).read_text())["passed"]
    assert (model / graphs.DENOISE).read_bytes() == before
    assert not list(model.glob(".export-*"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"basis": 2e-5}, "basis differs by 2.0e-05, allowed is 1e-05"),
        ({"gate": float("inf")}, "gate differs by inf, allowed is 1e-05"),
        ({"chunk": float("nan")}, "chunk differs by nan, allowed is 0.0001"),
        ({"other_experts": 1}, "1 observations select other experts"),
    ],
)
def test_each_limit_is_a_limit(change, says):
    good = Parity(10, basis=1e-6, gate=1e-6, chunk=1e-5, other_experts=0, at_the_boundary=3)
    assert good.exceeded("random") == []
    assert replace(good, **change).exceeded("random") == [says]


def test_recorded_observations_may_differ_more_before_the_chunk():
    good = Parity(10, basis=9e-5, gate=9e-5, chunk=9e-5, other_experts=0, at_the_boundary=3)
    assert good.exceeded("recorded") == []
    for name in ("basis", "gate", "chunk"):
        assert replace(good, **{name: 2e-4}).exceeded("recorded") == [f"{name} differs by 2.0e-04, allowed is 0.0001"]


def test_a_difference_that_is_not_a_number_is_the_largest(tmp_path, monkeypatch):
    model = rig.folder(tmp_path / "model")
    export.run(Args(model, observations=1))
    graph, network = OnnxBackend(model, "cpu"), load(model)[1]
    right, factors = OnnxBackend.denoise, iter((1.0, np.nan, 1.0, 1.0))
    monkeypatch.setattr(OnnxBackend, "denoise", lambda *a: right(*a) * next(factors))
    assert parity.compare(network, graph, parity.random_inputs(graph.contract, 4, 0)).chunk == float("inf")


def test_other_experts_are_forgiven_at_the_boundary_alone(tmp_path, monkeypatch):
    model = rig.folder(tmp_path / "model")
    export.run(Args(model, observations=1))
    graph, network = OnnxBackend(model, "cpu"), load(model)[1]
    right = OnnxBackend.encode
    monkeypatch.setattr(OnnxBackend, "encode", lambda *a: right(*a)._replace(active=~right(*a).active))
    asked = list(parity.random_inputs(graph.contract, 5, 0))
    assert parity.compare(network, graph, asked).other_experts == 5
    monkeypatch.setattr(parity, "near_boundary", lambda *_: True)
    forgiven = parity.compare(network, graph, asked)
    assert (forgiven.other_experts, forgiven.at_the_boundary, forgiven.chunk) == (0, 5, 0.0)


def gate_of(*mass: float) -> np.ndarray:
    """A gate whose squares have these proportions."""
    g = np.sqrt(np.array(mass))
    return (g / g.sum()).astype(np.float32)


def boundary(gate: np.ndarray, selection: Selection) -> bool:
    config = replace(tiny(), experts=len(gate), selection=selection)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(14, len(gate))))[0]
    return near_boundary(gate, basis.astype(np.float32), rig.contract(config))


def test_the_boundary_of_selection_is_where_rounding_decides():
    at, off = gate_of(60.0, 35.0, 5.0), gate_of(60.0, 35.01, 4.99)
    assert boundary(at, Selection(tau=0.95)) and not boundary(off, Selection(tau=0.95))
    equal, unequal = gate_of(50.0, 25.0, 25.0), gate_of(50.0, 25.01, 24.99)
    assert boundary(equal, Selection(rule="top_k", k=2)) and not boundary(unequal, Selection(rule="top_k", k=2))
    assert not boundary(at, Selection(rule="all")) and not boundary(at, Selection(tau=0.95, per_arm=True))


def test_a_graph_that_lacks_an_expert_is_not_written(tmp_path, monkeypatch):
    model = rig.folder(tmp_path / "model")
    contract, network = load(model)
    right = onnx.load

    def without_one(path: Path) -> onnx.ModelProto:
        graph = right(path)
        for x in graph.graph.initializer:
            if list(x.dims) == [8, 128, 32]:
                x.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(x)[:7], x.name))
        return graph

    monkeypatch.setattr(trace.onnx, "load", without_one)
    with pytest.raises(trace.ExportError, match=r"experts.inp.w \(8, 128, 32\) is not in the exported graph"):
        trace.write(tmp_path, contract, network, "0")


def test_the_command_says_what_it_found_and_what_is_wrong(tmp_path):
    model = rig.folder(tmp_path / "model")
    line = [sys.executable, "-m", "smp_policy.learn.export"]
    run = subprocess.run([*line, model, "--observations", "5"], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("5 random observations: basis ") and "encode.onnx and denoise.onnx" in run.stdout
    run = subprocess.run([*line, tmp_path / "none"], capture_output=True, text=True, timeout=100)
    assert run.returncode == 1 and run.stderr.splitlines()[-1].startswith("error: ") and "no model" in run.stderr


def test_no_observation_is_no_comparison():
    with pytest.raises(ValueError, match="--observations is 0"):
        Args(Path("model"), observations=0)
