"""Both backends: equal answers, nothing hidden, no torch where none is needed, and one sentence for what is damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import run_rig as rig
import torch

from smp_policy.learn import parity, trace
from smp_policy.run import graphs
from smp_policy.run.backend_onnx import OnnxBackend
from smp_policy.run.backend_torch import TorchBackend, load
from smp_policy.run.contract import ContractError
from smp_policy.run.open import open_backend, open_policy
from smp_policy.run.policy import Inputs, Policy
from smp_policy.smp.config import Selection, SMPConfig, tiny

torch.set_num_threads(1)

H, D, K = 16, 14, 8


def exported(path: Path, config: SMPConfig | None = None, seed: int = 0) -> Path:
    """A model folder with graphs, not compared with anything."""
    rig.folder(path, config, seed)
    contract, network = load(path)
    trace.write(path, contract, network, graphs.digest(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(model, tmp_path) -> Path:
    """The model, to be damaged."""
    return Path(shutil.copytree(model, tmp_path / "copy"))


def inputs(backend: TorchBackend | OnnxBackend, count: int = 20) -> list[Inputs]:
    return list(parity.random_inputs(backend.contract, count, seed=7))


CONFIGURATIONS = {
    "everything": rig.everything(),
    "top_k": replace(tiny(), selection=Selection(rule="top_k", k=2)),
    "all": replace(tiny(), selection=Selection(rule="all")),
    "per_arm": replace(tiny(), selection=Selection(per_arm=True)),
    "linear": replace(tiny(), selection=Selection(tau=0.5, power=1.0)),
    "own": replace(tiny(), network=replace(tiny().network, sees="own")),
    "few": replace(tiny(), experts=3, diffusion=replace(tiny().diffusion, sample_steps=4)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_17_every_kind_of_configuration_answers_the_same_from_its_graphs(name, tmp_path):
    path = exported(tmp_path / "model", CONFIGURATIONS[name])
    graph, network = OnnxBackend(path, "cpu"), TorchBackend.of(path)
    found = parity.compare(network.network, graph, inputs(graph, 40))
    assert found.observations == 40 and found.exceeded("random") == []
    one = inputs(graph, 3)[-1]
    np.testing.assert_allclose(graph.infer(one).action, network.infer(one).action, atol=parity.CHUNK)


def test_17_a_policy_gives_the_same_chunks_from_both_with_filter_and_committed_rows(model):
    """Closed over its own gate: an error would grow from one policy step to the next."""
    one, other = (open_policy(model, kind, "cpu", seed=2, sticky=True) for kind in ("torch", "onnx"))
    plain = open_policy(model, "onnx", "cpu", seed=2)
    filtered = False
    for step in range(12):
        query = rig.query(step, rows=(0, 3, H, 1)[step % 4])
        a, b, c = one.act(query), other.act(query), plain.act(query)
        np.testing.assert_allclose(a.gate, b.gate, atol=parity.GATE)
        np.testing.assert_allclose(a.router, b.router, rtol=1e-4)
        np.testing.assert_array_equal(a.active, b.active)
        np.testing.assert_allclose(a.q, b.q, atol=parity.CHUNK)
        filtered |= bool(np.abs(b.gate - c.gate).max() > 0.01)
    assert filtered


@pytest.mark.parametrize("n", [0, 1, 5, H])
def test_17_committed_rows_leave_both_as_they_went_in(model, n):
    for backend in (OnnxBackend(model, "cpu"), TorchBackend.of(model)):
        given = inputs(backend, 1)[0]
        prefix = np.random.default_rng(n).normal(size=(H, D)).astype(np.float32)
        answer = backend.infer(given._replace(prefix=prefix, committed=np.arange(H) < n))
        assert np.array_equal(answer.action[:n], prefix[:n])
        # What is not committed is not looked at.
        blank = np.where((np.arange(H) < n)[:, None], prefix, 0.0).astype(np.float32)
        same = backend.infer(given._replace(prefix=blank, committed=np.arange(H) < n))
        assert np.array_equal(answer.action, same.action)


def test_12_gathering_the_active_experts_equals_running_all_of_them_exactly(model):
    graph, fewer = OnnxBackend(model, "cpu"), 0
    for given in inputs(graph, 100):
        seen = graph.encode(given)
        fewer += len(seen.index) < K
        assert np.array_equal(seen.index, np.flatnonzero(seen.active[0]))
        dense = graph.denoise(given, seen._replace(index=np.arange(K)))
        assert np.array_equal(graph.denoise(given, seen), dense)
    assert fewer > 50  # otherwise there was little to compare


def test_12_every_expert_speaks_in_the_graph_when_it_alone_is_active(model):
    """A trace keeps what its example used: here each expert must be there, and be itself."""
    graph, network = OnnxBackend(model, "cpu"), TorchBackend.of(model).network
    given = inputs(graph, 1)[0]
    given = given._replace(committed=np.zeros(H, bool))
    seen, answers = graph.encode(given), []
    for i in range(K):
        only = seen._replace(active=np.arange(K)[None] == i, index=np.array([i]))
        answers.append(graph.denoise(given, only))
        with torch.no_grad():
            s, strength, b, active, noise = map(
                torch.from_numpy, (seen.s, seen.strength, seen.basis, only.active, given.noise[None])
            )
            z = network.denoise(s, strength, b, active, noise, torch.tensor([i]))
            np.testing.assert_allclose(answers[-1], network.decode(z, strength, b)[0], atol=parity.CHUNK)
    apart = [np.abs(a - b).max() for i, a in enumerate(answers) for b in answers[:i]]
    assert min(apart) > 1e-3


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_17_two_runs_on_one_thread_are_bitwise_equal_whatever_came_between(model, kind):
    backend, again = (open_backend(model, kind, "cpu") for _ in range(2))
    asked = inputs(backend, 30)
    first = [backend.infer(x) for x in asked]
    second = [again.infer(x) for x in reversed(asked)][::-1]
    for a, b in zip(first, second, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        assert [x.dtype for x in a] == [np.float32, np.float32, bool, np.float32]


WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "rclpy", "safetensors"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import pathlib
import numpy as np
from smp_policy.run.contract import ContractError
from smp_policy.run.open import open_policy
from smp_policy.run.policy import Query

folder = pathlib.Path(sys.argv[1])
chunk = open_policy(folder, seed=4, sticky=True).act(Query("pour", np.zeros(14), np.zeros(14)))
try:
    open_policy(folder, "torch")
except ContractError as error:
    print(error)
np.save(sys.argv[2], chunk.q)
"""


def test_graphs_run_where_torch_cannot_be_imported(model, tmp_path):
    out = tmp_path / "q.npy"
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, model, out], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "backend torch: torch is not installed" in run.stdout
    here = open_policy(model, "onnx", "cpu", seed=4, sticky=True)
    assert np.array_equal(np.load(out), here.act(rig.query(task="pour", q=np.zeros(D), target=np.zeros(D))).q)


def test_graphs_alone_are_a_model(copy):
    expected = open_policy(copy, "onnx", "cpu").act(rig.query()).q
    (copy / "contract.json").unlink()
    (copy / graphs.WEIGHTS).unlink()
    assert np.array_equal(open_policy(copy, "onnx", "cpu").act(rig.query()).q, expected)


# -- damage ------------------------------------------------------------------------------------------------------------


def relabel(path: Path, **values: str) -> None:
    """Change what a graph says of itself; "" removes it."""
    graph = onnx.load(path)
    said = {p.key: p.value for p in graph.metadata_props} | values
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {key: value for key, value in said.items() if value})
    onnx.save(graph, path)


def contract_with(path: str, value: object) -> str:
    values = json.loads(rig.contract().to_json())
    *parents, last = path.split(".")
    place = values
    for name in parents:
        place = place[name]
    place[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("config.experts", 7),
        ("config.gate.kappa", 40.0),
        ("config.selection.tau", 0.9),
        ("config.loss.sigma2", 0.06),
        ("normaliser.action_scale", [1.0] * 14),
        ("dt_ns", 40_000_000),
        ("trained_in", "robot"),
        ("tasks", ["pour", "lift"]),
    ],
)
def test_18_graphs_that_disagree_with_each_other_or_the_folder_are_refused_by_name(copy, path, value):
    other = contract_with(path, value)
    (copy / "contract.json").write_text(other)
    with pytest.raises(ContractError, match=rf"encode.onnx and contract.json differ in contract.{path}"):
        OnnxBackend(copy, "cpu")
    relabel(copy / graphs.DENOISE, contract=other)
    with pytest.raises(ContractError, match=rf"encode.onnx and denoise.onnx differ in contract.{path}"):
        OnnxBackend(copy, "cpu")


def test_notes_are_for_people_and_may_be_edited(copy):
    (copy / "contract.json").write_text(contract_with("notes", {"remark": "the good one"}))
    OnnxBackend(copy, "cpu")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"format": ""}, "denoise.onnx: format is None, wanted is 'smp-policy-graph 1'"),
        ({"format": "smp-policy-graph 2"}, "format is 'smp-policy-graph 2'"),
        ({"graph": "encode.onnx"}, "graph is 'encode.onnx', wanted is 'denoise.onnx'"),
        ({"contract": ""}, "its metadata lacks contract"),
        ({"contract": "{"}, "denoise.onnx: contract: not JSON, or truncated"),
        ({"weights": ""}, "its metadata lacks weights"),
        ({"weights": "0"}, "weights of encode.onnx and denoise.onnx differ: export it again"),
        ({"opset": "17"}, "opset of encode.onnx and denoise.onnx differ"),
    ],
)
def test_18_metadata_that_is_missing_or_differs_is_refused_by_name(copy, values, says):
    relabel(copy / graphs.DENOISE, **values)
    with pytest.raises(ContractError, match=says):
        OnnxBackend(copy, "cpu")


def test_18_graphs_of_older_weights_are_refused(copy):
    rig.folder(copy, seed=1)  # trained on: the same contract, other weights
    with pytest.raises(ContractError, match=r"weights of encode.onnx are not those of model.safetensors: export it ag"):
        OnnxBackend(copy, "cpu")


def test_18_graphs_of_another_size_than_their_contract_are_refused_by_the_input(copy):
    other = contract_with("config.encoder.features", 16)
    for name in graphs.GRAPHS:
        relabel(copy / name, contract=other)
    (copy / "contract.json").write_text(other)
    with pytest.raises(ContractError, match=r"denoise.onnx: input s is .*32.*, its contract wants .*16"):
        OnnxBackend(copy, "cpu")


@pytest.mark.parametrize("name", graphs.GRAPHS)
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "gone"])
def test_a_damaged_graph_is_named_in_one_sentence(copy, name, damage):
    path = copy / name
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"not a graph\n" * 99}[damage])
    with pytest.raises(ContractError, match=name) as caught:
        OnnxBackend(copy, "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", graphs.GRAPHS)
def test_a_single_changed_bit_is_noticed(copy, name):
    """In a weight it would change every motion a little, and nothing else would tell."""
    path, rng = copy / name, np.random.default_rng(0)
    whole = path.read_bytes()
    for at in rng.integers(len(whole), size=25):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(ContractError, match=name) as caught:
            OnnxBackend(copy, "cpu")
        assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    OnnxBackend(copy, "cpu")


def test_a_graph_that_was_edited_is_refused(copy):
    """The same change in all three places: nothing differs, but nobody compared such a graph with the network."""
    other = contract_with("config.selection.tau", 0.9)
    (copy / "contract.json").write_text(other)
    for name in graphs.GRAPHS:
        relabel(copy / name, contract=other)
    with pytest.raises(ContractError, match=r"encode.onnx is damaged: its sha256 is not that of its content; export"):
        OnnxBackend(copy, "cpu")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", [graphs.WEIGHTS, "contract.json"])
def test_a_truncated_model_is_named_in_one_sentence(copy, name, share):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ContractError, match=name) as caught:
        load(copy)
    assert "\n" not in str(caught.value)


def test_weights_that_are_missing_or_of_another_network_are_named(copy, tmp_path):
    (copy / "contract.json").write_text(contract_with("config.network.width", 16))
    with pytest.raises(ContractError, match=r"model.safetensors does not fit its contract: .*size mismatch") as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    (copy / graphs.WEIGHTS).unlink()
    with pytest.raises(ContractError, match=r"is no model: model.safetensors is missing"):
        load(copy)
    with pytest.raises(ContractError, match=r"contract.json is missing"):
        load(tmp_path / "nowhere")


def test_a_device_that_is_not_there_is_refused_and_auto_takes_what_there_is(model):
    with pytest.raises(ContractError, match="device is 'tpu'; valid: auto, cpu, cuda"):
        OnnxBackend(model, "tpu")
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ContractError, match=r"^device cuda: .* install onnxruntime-gpu"):
            OnnxBackend(model, "cuda")
        assert OnnxBackend(model).device == "cpu"
    with pytest.raises(ContractError, match="backend is 'jax'; valid: onnx, torch"):
        open_backend(model, "jax")


def test_weights_that_are_not_numbers_are_noticed_when_they_answer(tmp_path):
    network = rig.network()
    with torch.no_grad():
        network.experts.out.b[:, 0, 3] = torch.nan
    with pytest.raises(ContractError, match="action holds a number that is not finite: its weights are damaged"):
        Policy(TorchBackend(rig.contract(), network)).act(rig.query())
