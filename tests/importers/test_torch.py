"""Models from PyTorch (modules, .pt files, safetensors): the float reference equals PyTorch's outputs."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rnn_mapper as srnn
from rnn_mapper import cells, cli
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.torch import archive
from rnn_mapper.importers.torch.modules import import_module
from rnn_mapper.mapping.state_images import state_packets
from rnn_mapper.quantisation.codes import quantise_state
from rnn_mapper.run.prepare import as_imported

#: Seeds, each for a module with random attributes.
SEEDS = range(24)
CLOSE = 1e-5


def outputs_of(imported: srnn.Imported, inputs: np.ndarray) -> np.ndarray:
    """[steps, values] of the float reference, after the host's steps."""
    return imported.finish(srnn.run_float(imported.network, inputs, imported.state).outputs)


def wanted_of(module: Any, inputs: np.ndarray) -> np.ndarray:
    """[steps, values] of PyTorch in inference, in the module's own precision."""
    dtype = next(module.parameters()).dtype
    batch = torch.tensor(inputs, dtype=dtype)
    if getattr(module, "batch_first", False):
        batch = batch[None]
    with torch.no_grad():
        found = module.eval()(batch)
    value = found[0] if isinstance(found, tuple) else found
    return value.double().numpy().reshape(len(inputs), -1)


def random_recurrent(seed: int) -> tuple[Any, str | None]:
    """An nn.LSTM, GRU or RNN, and the cell that must be named if the weights do not identify it."""
    choose = random.Random(seed)
    torch.manual_seed(seed)
    module_class = choose.choice([torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
    hidden = choose.randint(2, 9)
    options: dict[str, Any] = {
        "num_layers": choose.randint(1, 3), "bidirectional": choose.random() < 0.4, "bias": choose.random() < 0.7,
        "batch_first": choose.random() < 0.5, "dropout": choose.choice([0.0, 0.5]),
        "dtype": choose.choice([torch.float32, torch.float64]),
    }
    cell = None
    if module_class is torch.nn.LSTM:
        options["proj_size"] = choose.choice([0, 0, choose.randint(1, hidden - 1)])
    elif module_class is torch.nn.RNN:
        options["nonlinearity"] = choose.choice(["tanh", "relu"])
        cell = f"rnn_{options['nonlinearity']}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dropout of a single layer
        return module_class(choose.randint(1, 7), hidden, **options), cell


@pytest.mark.parametrize("seed", SEEDS)
def test_recurrent_modules_in_every_format(seed: int, tmp_path: Path) -> None:
    module, cell = random_recurrent(seed)
    inputs = np.random.default_rng(seed).normal(size=(9, module.input_size))
    wanted = wanted_of(module, inputs)
    torch.save(module.state_dict(), tmp_path / "m.pt")
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    np.savez(tmp_path / "m.npz", **{name: value.numpy() for name, value in module.state_dict().items()})
    found = [import_module(module)]
    found += [srnn.load_model(tmp_path / name, srnn.Selection(cell)) for name in ("m.pt", "m.safetensors", "m.npz")]
    for imported in found:
        np.testing.assert_allclose(outputs_of(imported, inputs), wanted, rtol=0, atol=CLOSE)
        assert len(imported.account) == 1
        assert imported.state is None


@pytest.mark.parametrize("module_class", [torch.nn.LSTMCell, torch.nn.GRUCell, torch.nn.RNNCell, "relu"])
def test_cells_in_every_format(module_class: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = torch.nn.RNNCell(3, 5, nonlinearity="relu") if module_class == "relu" else module_class(3, 5)
    inputs = np.random.default_rng(1).normal(size=(7, 3))
    state, wanted = None, []
    with torch.no_grad():
        for x in torch.tensor(inputs, dtype=torch.float32):
            state = module(x, state)
            wanted.append((state[0] if isinstance(state, tuple) else state).numpy())
    torch.save({"cell." + name: value for name, value in module.state_dict().items()}, tmp_path / "m.pt")
    cell = f"rnn_{module.nonlinearity}" if isinstance(module, torch.nn.RNNCell) else None
    for imported in (import_module(module), srnn.load_model(tmp_path / "m.pt", srnn.Selection(cell))):
        np.testing.assert_allclose(outputs_of(imported, inputs), wanted, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_number_types(dtype: torch.dtype, tmp_path: Path) -> None:
    module = torch.nn.GRU(3, 4).to(dtype)
    torch.save(module.state_dict(), tmp_path / "m.pt")
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    rows = module.weight_ih_l0.detach().double().numpy()
    for imported in (import_module(module), *(srnn.load_model(path) for path in tmp_path.iterdir())):
        layer = imported.network.layers[0]
        assert isinstance(layer, srnn.Layer)
        np.testing.assert_array_equal(np.concatenate([layer.tensors[f"W_{gate}"] for gate in "rzn"]), rows)


def sequences(seed: int) -> Iterator[Any]:
    choose = random.Random(seed)
    width = choose.randint(2, 6)
    for _ in range(choose.randint(1, 3)):
        following = choose.randint(2, 6)
        yield torch.nn.Linear(width, following, bias=choose.random() < 0.7)
        if function := choose.choice([None, torch.nn.Sigmoid, torch.nn.Tanh, torch.nn.ReLU]):
            yield function()
        yield from choose.sample([torch.nn.Dropout(0.5), torch.nn.Identity()], choose.randint(0, 2))
        width = following
    last = choose.choice([None, torch.nn.LSTM, torch.nn.GRU, torch.nn.Softmax(dim=-1), torch.nn.LogSoftmax(dim=-1)])
    if isinstance(last, type):
        yield last(width, 3, bidirectional=choose.random() < 0.5)
    elif last is not None:
        yield last


@pytest.mark.parametrize("seed", range(12))
def test_sequential(seed: int) -> None:
    torch.manual_seed(seed)
    module = torch.nn.Sequential(*sequences(seed))
    inputs = np.random.default_rng(seed).normal(size=(6, module[0].in_features))
    imported = import_module(module)
    np.testing.assert_allclose(outputs_of(imported, inputs), wanted_of(module, inputs), rtol=0, atol=CLOSE)
    host = [type(child).__name__ for child in module if isinstance(child, torch.nn.Softmax | torch.nn.LogSoftmax)]
    assert [kind in step.name for kind, step in zip(host, imported.host, strict=True)] == [True] * len(host)


class Tagger(torch.nn.Module):
    """A typical model: an embedding, a recurrent layer, a decision."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 4)
        self.encoder = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(4, 5, batch_first=True, num_layers=2)})
        self.fc = torch.nn.Linear(5, 3)
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, embedded: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.fc(self.encoder["rnn"](embedded)[0]), dim=-1)


def test_parts_of_a_module_and_of_its_checkpoints(tmp_path: Path) -> None:
    torch.manual_seed(2)
    module = Tagger()
    inputs = np.random.default_rng(2).normal(size=(6, 4))
    # Like the state_dict of torch.optim.Adam, whose import takes seconds.
    optimiser = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(10, 4)}},
                 "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "foreach": None, "params": [0, 1]}]}
    with torch.no_grad():
        wanted = module(torch.tensor(inputs, dtype=torch.float32)[None])[0].numpy()
    state = module.state_dict()
    torch.save(state, tmp_path / "plain.pt")
    torch.save({"module." + name: value for name, value in state.items()}, tmp_path / "parallel.pth")
    save_file(state, tmp_path / "m.safetensors")
    torch.save({"epoch": 3, "state_dict": state, "optimizer": optimiser, "lr": 0.1}, tmp_path / "c.ckpt")
    torch.save({"model": state, "ema": state}, tmp_path / "two.bin")
    parts = ("encoder.rnn", "fc:softmax")
    found = [import_module(module, srnn.Selection(parts=parts))]
    for path in tmp_path.iterdir():
        chosen = ("model.encoder.rnn", "model.fc:softmax") if path.stem == "two" else ("rnn", "fc:softmax")
        found.append(srnn.load_model(path, srnn.Selection(parts=chosen)))
    for imported in found:
        np.testing.assert_allclose(outputs_of(imported, inputs), wanted, rtol=0, atol=CLOSE)
        assert len(imported.host) == 1
        assert any("4 -> 5 -> 5: layers 0 to 1" in line for line in imported.account), imported.account
    checkpoint = srnn.load_model(tmp_path / "c.ckpt", srnn.Selection(parts=("rnn", "fc")))
    assert "'state_dict' of the file, beside epoch, optimizer, lr" in checkpoint.account
    assert "Linear 'fc', 5 -> 3, no function after it (write fc:sigmoid if there is one): head" in checkpoint.account
    assert any(line.startswith("not used: embedding (linear 4 -> 10 without bias, or an embedding 10 x 4), norm (")
               for line in checkpoint.account)
    with pytest.raises(ModelError, match=r"plain.pt: holds embedding .*, encoder.rnn \(LSTM 4 -> 5, 2 layers\), "
                                         r"fc \(linear 5 -> 3\), norm .*such as --part encoder.rnn --part embedding"):
        srnn.load_model(tmp_path / "plain.pt")
    with pytest.raises(ModelError, match=rf"^{__name__}.Tagger has a forward\(\) of its own"):
        import_module(module)


def test_views_and_shared_storages_of_an_archive(tmp_path: Path) -> None:
    whole = torch.randn(40, 13)
    state = {"weight_ih_l0": whole[::2, 1:6], "weight_hh_l0": whole.t()[3:8, :20].t(), "bias_ih_l0": whole[:20, 0]}
    torch.save(state, tmp_path / "m.pt")
    torch.save({name: torch.nn.Parameter(value) for name, value in state.items()}, tmp_path / "p.pt")
    for name in ("m.pt", "p.pt"):
        layer = srnn.load_model(tmp_path / name).network.layers[0]
        assert isinstance(layer, srnn.Layer)
        for tensor, letter in (("weight_ih_l0", "W"), ("weight_hh_l0", "U"), ("bias_ih_l0", "b")):
            rows = np.concatenate([layer.tensors[f"{letter}_{gate}"] for gate in "ifgo"])
            np.testing.assert_array_equal(rows, state[tensor].double().numpy())


def subclass() -> Any:
    class Own(torch.nn.LSTM):
        pass

    return Own(2, 3)


def hooked() -> Any:
    module = torch.nn.GRU(2, 3)
    module.register_forward_hook(lambda *_: None)
    return module


def old_weight_norm() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nn.utils.weight_norm(torch.nn.LSTM(2, 3), "weight_hh_l0")


def quantised() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.LSTM(2, 3)), {torch.nn.LSTM})


def scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(torch.nn.LSTM(2, 3))


REFUSED: list[tuple[Any, str]] = [
    (subclass, r"Own is a subclass of torch.nn.LSTM and may compute something else"),
    (hooked, r"^GRU has forward hooks, which may change what it computes"),
    (old_weight_norm, r"^LSTM has forward pre hooks.*remove_weight_norm"),
    (lambda: torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(2, 3), "weight_hh_l0"),
     r"^LSTM has parametrised weights \(weight_hh_l0\).*remove_parametrizations"),
    (quantised, r"torch.ao.nn.quantized.dynamic.modules.rnn.LSTM '0' is not supported"),
    (scripted, r"is TorchScript, which is not supported: export the module to ONNX"),
    (lambda: torch.nn.LSTM(2, 3, device="meta"), r"^LSTM: weight_ih_l0 has no values \(device meta\)"),
    (lambda: torch.nn.DataParallel(torch.nn.LSTM(2, 3)), r"DataParallel wraps a module: give its .module$"),
    (lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.GELU()), r"activation.GELU '1' is not supported"),
    (lambda: torch.nn.Sequential(torch.nn.LSTM(2, 3), torch.nn.ReLU()), r"^ReLU '1' follows a recurrent layer"),
    (lambda: torch.nn.Sequential(torch.nn.Tanh(), torch.nn.LSTM(2, 3)), r"^Tanh '0' comes before every layer"),
    (lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.ReLU()),
     r"^ReLU '2' follows tanh of '0'"),
    (lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softmax(dim=-1), torch.nn.Linear(3, 3)),
     r"^Linear '2' follows softmax .* and must come last"),
    (lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softmax(dim=1)), r"^Softmax '1' has dim = 1, must be"),
    (lambda: torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LSTM(4, 3)), r"^layer 1 \(lstm\) takes 4 values"),
    (lambda: torch.nn.LSTM(2, 3, dtype=torch.complex64), r"weight_ih holds complex64 values, must be float64"),
    (lambda: torch.nn.Bilinear(2, 3, 4), r"^torch.nn.modules.linear.Bilinear is not supported: must be one of "
                                          "torch.nn: "),
    (lambda: b"text.pt", r"^a bytes is not a model"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message[:24] for _, message in REFUSED])
def test_what_is_refused(build: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        as_imported(build())


def test_what_is_named_must_be_there() -> None:
    module = Tagger()
    for parts, message in (
        (("lstm",), r"^part lstm is not there; there are embedding \(Embedding\), encoder"),
        (("encoder.rnn", "fc:gelu"), r"'fc:gelu': function 'gelu' is not supported: choose identity, sigmoid, tanh"),
        (("encoder.rnn:relu",), r"'encoder.rnn:relu' follows a recurrent layer"),
        (("norm",), r"BatchNorm1d 'norm' is not supported"),
        (("fc:",), r"^--part fc:: write NAME or NAME:FUNCTION"),
    ):
        with pytest.raises(ModelError, match=message):
            import_module(module, srnn.Selection(parts=parts))
    with pytest.raises(ModelError, match=r"^LSTM is lstm, but the given cell is gru$"):
        import_module(torch.nn.LSTM(2, 3), srnn.Selection("gru"))
    with pytest.raises(ModelError, match=r"^--from and --to name tensors of an ONNX graph"):
        import_module(torch.nn.LSTM(2, 3), srnn.Selection(start="x"))


def test_a_forward_of_its_own_is_not_guessed() -> None:
    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.GRU(2, 3)

    with pytest.raises(ModelError, match=r"Wrapped has a forward\(\) of its own.*: inner \(GRU\); name them"):
        import_module(Wrapped())
    imported = import_module(Wrapped(), srnn.Selection(parts=("inner",)))
    assert isinstance(imported.network, srnn.Network)
    assert imported.network.single_layers[0].cell is cells.gru
    assert imported.account[0] == "GRU 'inner', 2 -> 3: layer 0"
    assert f"forward() of {__name__}.test_a_forward" in imported.account[1]


def test_a_start_state_reaches_the_grid() -> None:
    """The state of an Imported: floats, integers and the Verilog start from it."""
    torch.manual_seed(4)
    module = torch.nn.LSTM(3, 4)
    inputs = np.random.default_rng(4).normal(size=(3, 3))
    start = {"h": np.array([0.9, -0.9, 0.5, 1.0]), "c": np.array([2.0, -3.0, 0.5, -0.5])}
    imported = srnn.Imported(import_module(module).network, state=(start,))
    result = srnn.simulate(imported, inputs, simulator="icarus")
    assert isinstance(result, srnn.SimulationResult)
    assert result.is_exact
    with torch.no_grad():
        given = [torch.tensor(start[name], dtype=torch.float32)[None] for name in "hc"]
        wanted = module(torch.tensor(inputs, dtype=torch.float32), tuple(given))[0].numpy()
        cleared = module(torch.tensor(inputs, dtype=torch.float32))[0].numpy()
    np.testing.assert_allclose(result.outputs_float, wanted, atol=0.02)
    assert np.abs(cleared - wanted).max() > 0.1
    assert result.h_rms_error < 0.01
    outside = srnn.Imported(imported.network, state=({"h": np.array([1.5, 0, 0, 0])},))
    with pytest.raises(ModelError, match=r"^layer 0: start state h\[0\] is 1.5, must be within -1 to 1"):
        srnn.simulate(outside, inputs, simulator="icarus")


def test_the_documentation_shows_what_is_told(tmp_path: Path) -> None:
    encoder, fc = torch.nn.LSTM(40, 64, num_layers=2), torch.nn.Linear(64, 10)
    state = {"embedding.weight": torch.ones(100, 40)}
    state |= {f"encoder.rnn.{name}": value for name, value in encoder.state_dict().items()}
    state |= {f"fc.{name}": value for name, value in fc.state_dict().items()}
    torch.save(state, tmp_path / "tagger.pt")
    imported = srnn.load_model(tmp_path / "tagger.pt", srnn.Selection(parts=("encoder.rnn", "fc:sigmoid")))
    text = (Path(__file__).parent.parent.parent / "docs" / "import.md").read_text(encoding="utf-8")
    assert "".join(f"Model      tagger.pt: {line}\n" for line in imported.account) in text


def test_map_writes_the_packets_of_a_start_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    network = import_module(torch.nn.GRU(3, 4)).network
    imported = srnn.Imported(network, ("a GRU",), ({"h": np.array([0.5, -0.25, 0.0, 1.0])},))
    monkeypatch.setattr("rnn_mapper.importers.load_model", lambda *_: imported)
    with pytest.raises(SystemExit) as left:
        cli.main(["map", "--model", "gru.pt", "-o", str(tmp_path / "out"), "--json", str(tmp_path / "r.json")])
    assert left.value.code == 0
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["imported"] == [{"file": "gru.pt", "account": ["a GRU"], "host": [], "start_state": True}]
    prepared = srnn.prepare(imported)
    assert figures["cycles"]["total"] == prepared.mapping.predict(16, cleared=False).cycles
    assert prepared.state is not None
    packets = list(state_packets(prepared.mapping, quantise_state(prepared.mapping.network, prepared.state)))
    data = (tmp_path / "out" / "state.bin").read_bytes()
    places = json.loads((tmp_path / "out" / "state.json").read_text())["packets"]
    assert [data[place["offset"] :][: place["bytes"]] for place in places] == packets


@pytest.mark.parametrize("module", [
    torch.nn.LSTM(4, 5, num_layers=3), torch.nn.GRU(4, 5, num_layers=2, bidirectional=True),
], ids=["three layers", "both directions"])  # fmt: skip
def test_weights_that_share_one_storage(
    module: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkpoint from a GPU, where all weights of a module are views of one buffer; each byte counts once."""
    monkeypatch.setattr(archive, "_SMALLEST_BUDGET", 0)
    state = module.state_dict()
    buffer, views, first = torch.cat([value.reshape(-1) for value in state.values()]), {}, 0
    for name, value in state.items():
        views[name] = buffer[first : first + value.numel()].view(value.shape)
        first += value.numel()
    torch.save(views, tmp_path / "gpu.pt")
    torch.save(state, tmp_path / "cpu.pt")
    shared, apart = (srnn.load_model(tmp_path / name).network.stack for name in ("gpu.pt", "cpu.pt"))
    for one, other in zip(shared, apart, strict=True):
        for name, value in one.tensors.items():
            np.testing.assert_array_equal(value, other.tensors[name])
