"""Files that are not models, or unsupported models: one line, exit status 2, nothing written, nothing run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rnn_mapper import cli, load_model
from rnn_mapper.errors import ModelError
from rnn_mapper.importers.torch import pickles
from tests.support.cli_runner import refusal

FUZZER = Path(__file__).parent.parent / "support" / "fuzz_importers.py"
#: Mutants of each file, and their seed.
MUTANTS, SEED = 150, int(os.environ.get("SPATIAL_RNN_FUZZ_SEED", "1"))


#: A storage of four numbers.
FLOATS = bytes(16)


class Net(torch.nn.Module):
    """A recurrent layer and the modules that follow."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = torch.nn.LSTM(3, 4)
        self.fc = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.rnn(x)[0])


class Malicious:
    """Its pickle runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def state(**changes: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    tensors = dict(torch.nn.LSTM(3, 4).state_dict())
    return {name: value for name, value in (tensors | changes).items() if value is not None}


def archive(pickled: bytes, storages: dict[str, bytes] | None = None, kind: int = zipfile.ZIP_STORED) -> bytes:
    """A zip in the format of torch.save."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as file:
        file.writestr("m/data.pkl", pickled)
        for name, content in (storages or {}).items():
            file.writestr(f"m/data/{name}", content)
    return made.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return made.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    made = io.BytesIO()
    torch.save(value, made, **options)
    return made.getvalue()


def tensor_pickle(offset: int, shape: tuple[int, ...], strides: tuple[int, ...], count: int = 4) -> bytes:
    """A state_dict of one tensor `weight_ih_l0`, as the operations of a pickle."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def number(value: int) -> bytes:
        return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(count) + b"tQ"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + numbers(shape) + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    both = text("weight_ih_l0") + tensor + text("weight_hh_l0") + tensor
    return b"\x80\x02}(" + both + b"u."


def lying_archive() -> bytes:
    """A zip whose directory claims gigabytes for the last member."""
    made = bytearray(archive(tensor_pickle(0, (4, 1), (1, 1)), {"0": FLOATS}))
    place = made.rfind(b"PK\x01\x02") + 20
    made[place : place + 4] = struct.pack("<I", 0xF0000000)
    return bytes(made)


def tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        file.addfile(tarfile.TarInfo("storages"))
    return made.getvalue()


def scripted() -> bytes:
    made = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), made)
    return made.getvalue()


def safetensors(change: Callable[[bytes], bytes], **tensors: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        save_file(state(**tensors), path)
        path.write_bytes(change(path.read_bytes()))

    return write


def npz(**changes: Any) -> Callable[[Path], None]:
    arrays = {name: value.double().numpy() for name, value in state().items()} | changes
    return lambda path: np.savez(path, **arrays)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("weight_ih_l0.npy", "w") as member:
        for _ in range(200):
            member.write(bytes(1 << 20))


def lying_npz(path: Path) -> None:
    """An array whose header claims terabytes."""
    made = io.BytesIO()
    np.save(made, np.ones((16, 3)))
    content = made.getvalue().replace(b"(16, 3)", b"(1600000000, 300)")
    content = content[:8] + struct.pack("<H", struct.unpack("<H", content[8:10])[0] + 10) + content[10:]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weight_ih_l0.npy", content)


NAN = torch.full((16, 3), float("nan"))
BAD: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "empty.pt": (b"", "is empty, must be ONNX (.onnx), a PyTorch state_dict (.pt, .pth), safetensors or a NumPy .npz"),
    "empty.onnx": (b"", "is empty, must be"),
    "text.pt": (b"a model\n", "is of no known format, must be ONNX (.onnx)"),
    "cut.pt": (saved(state())[:700], "is a damaged zip archive (cut off?)"),
    "legacy.pt": (saved(state(), _use_new_zipfile_serialization=False), "was saved by PyTorch before 1.6 or in its ol"),
    "raw.pkl": (pickle.dumps({"a": 1}), "is a pickle, which could run code and is not loaded: give ONNX"),
    "tar.pt": (tar(), "is a tar archive (PyTorch before 0.4?), which is not supported: load it where you trust it"),
    "script.pt": (lambda path: path.write_bytes(scripted()),
                  "is TorchScript (torch.jit.save), whose code is not run: export the module to ONNX"),
    "module.pt": (lambda path: torch.save(Net(), path),
                  f"holds a pickled object of {__name__}.Net, which is not loaded: save module.state_dict()"),
    "lstm.pt": (lambda path: torch.save(torch.nn.LSTM(2, 3), path),
                "holds a pickled object of torch.nn.modules.rnn.LSTM, which is not loaded"),
    "tensor.pt": (saved(torch.ones(3)), "holds a single tensor, must hold a state_dict"),
    "list.pt": (saved([torch.ones(3)]), "holds a list, must hold a state_dict"),
    "nothing.pt": (saved({"a": 1}), "holds no tensors, must hold a trained network"),
    "conv.pt": (saved(torch.nn.Conv1d(1, 2, 3).state_dict()),
                "holds no LSTM, GRU, RNN or linear layer with PyTorch's names (weight_ih_l0, ...); there are . (weig"),
    "rnn.pt": (saved(torch.nn.RNN(2, 3).state_dict()),
               "weight_hh_l0 has shape 3 x 3, one row per column: an nn.RNN with tanh or with relu, which its weights "
               "do not show; name it with --cell rnn_tanh or --cell rnn_relu"),
    "several.pt": (saved(Net().state_dict()),
                   "holds rnn (LSTM 3 -> 4), fc (linear 4 -> 2); their names do not show which of them are used, and "
                   "in what order: name them in the order of the data, such as --part rnn --part fc (with the function "
                   "after a linear layer: fc:sigmoid)"),
    "two.pt": (saved({"model": Net().state_dict(), "ema": Net().state_dict()}),
               "holds model.rnn (LSTM 3 -> 4), model.fc (linear 4 -> 2), ema.rnn"),
    "missing.pt": (saved(state(weight_hh_l0=None)), "tensor weight_hh_l0 is missing, every layer must have it"),
    "unknown.pt": (saved(state(weight_ch_l0=torch.ones(4))), "tensor weight_ch_l0 is unknown, nn.LSTM, nn.GRU or nn.R"),
    "norm.pt": (saved(torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(2, 3), "weight_hh_l0").state_dict()),
                "tensor parametrizations.weight_hh_l0.original0 belongs to a parametrised weight"),
    "shape.pt": (saved(state(weight_ih_l0=torch.ones(12, 3))), "layer 0: weight_ih has shape 12 x 3, must have 16 row"),
    "nan.pt": (saved(state(weight_ih_l0=NAN)), "layer 0: weight_ih[0, 0] is nan, must be finite"),
    "inf.pt": (saved(state(bias_hh_l0=torch.full((16,), float("inf")))), "layer 0: bias_hh[0] is inf, must be finite"),
    "int.pt": (saved(state(weight_hh_l0=torch.ones(16, 4, dtype=torch.int8))),
               "layer 0: weight_hh holds int8 values, must be float64, float32, float16, bfloat16: quantised weights "
               "need scales"),
    "bool.pt": (saved(state(weight_hh_l0=torch.ones(16, 4, dtype=torch.bool))), "layer 0: weight_hh holds bool values"),
    "quantised.pt": (
        lambda path: torch.save(
            state(weight_hh_l0=torch.quantize_per_tensor(torch.ones(16, 4), 0.1, 0, torch.qint8)), path
        ),
        "layer 0: weight_hh holds quantised values",
    ),
    "sparse.pt": (saved(state(bias_ih_l0=torch.ones(16).to_sparse())), "layer 0: bias_ih holds sparse values"),
    "none.pt": (saved(state(weight_ih_l0=torch.ones(16, 0))), "layer 0: weight_ih has shape 16 x 0, must not be empty"),
    "beyond.pt": (archive(tensor_pickle(2, (4, 1), (1, 1)), {"0": FLOATS}),
                  "layer 0: weight_ih: a tensor of shape [4, 1] at 2 with strides [1, 1] goes beyond its storage of 4"),
    "huge.pt": (archive(tensor_pickle(0, (1 << 40, 1 << 40), (0, 0)), {"0": FLOATS}),
                "weight_hh_l0 has shape 1099511627776 x 1099511627776, one row per column"),
    "huge_lstm.pt": (archive(tensor_pickle(0, (1 << 40, 1 << 38), (0, 0)), {"0": FLOATS}),
                     "layer 0: weight_ih: a tensor of shape [1099511627776, 274877906944] at 0 with strides [0, 0] g"),
    "negative.pt": (archive(tensor_pickle(-1, (4, 1), (1, 1)), {"0": FLOATS}), "a tensor has no storage, or no sizes"),
    "lost.pt": (archive(tensor_pickle(0, (4, 1), (1, 1))), "layer 0: weight_ih: is damaged: member data/0 is missing"),
    "packed.pt": (archive(tensor_pickle(0, (4, 1), (1, 1)), {"0": bytes(1 << 20)}, zipfile.ZIP_DEFLATED),
                  "member data.pkl is compressed or encrypted, which torch.save does not: save it again"),
    "sizes.pt": (lying_archive(), "layer 0: weight_ih: is damaged: the sizes of member data/0 differ"),
    "dicts.pt": (archive(b"\x80\x02" + b"}" * 200_000 + b"."), "the pickle has more than 100000 operations"),
    "memo.pt": (archive(b"\x80\x02}r\xff\xff\xff\xffj\xfe\xff\xff\xff."), "the pickle is damaged (KeyError)"),
    "bytes.pt": (archive(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), "the pickle is damaged (ValueError)"),
    "array.pt": (archive(b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\xff\xff\xff\xff\x7f\x85R."),
                 "holds a pickled object of builtins.bytearray, which is not loaded"),
    "extension.pt": (archive(b"\x80\x02\x82\x01."), "the pickle has the operation EXT1, which no state_dict needs"),
    "endless.pt": (archive(b"\x80\x02}"), "the pickle is damaged (ValueError)"),
    "control.pt": (saved({"\x1b[2Jrnn.weight_ih_l0": torch.ones(2)}), "tensor ?[2Jrnn.weight_ih_l0 has a name with co"),
    "other.zip": (zipped({"readme.txt": b"x"}), "is a zip archive of no known format, must be ONNX"),
    "model.keras": (zipped({"config.json": b"{}", "model.weights.h5": b""}), "is a Keras model, which is not supporte"),
    "lies.safetensors": (safetensors(lambda data: data.replace(b"[16,3]", b"[99,3]")), "is damaged, or not a safe"),
    "long.safetensors": (safetensors(lambda data: struct.pack("<Q", 1 << 60) + data[8:]), "has a header of 1152921504"),
    "cut.safetensors": (safetensors(lambda data: data[:-8]), "is damaged, or not a safetensors file: "),
    "int.safetensors": (safetensors(lambda data: data, weight_ih_l0=torch.ones(16, 3, dtype=torch.int16)),
                        "layer 0: weight_ih holds int16 values, must be float64"),
    "f8.safetensors": (safetensors(lambda data: data, bias_ih_l0=torch.ones(16).to(torch.float8_e4m3fn)),
                       "layer 0: bias_ih holds float8_e4m3fn values, must be float64"),
    "nan.safetensors": (safetensors(lambda data: data, weight_ih_l0=NAN.bfloat16()), "layer 0: weight_ih[0, 0] is nan"),
    "int.npz": (npz(weight_ih_l0=np.ones((16, 3), dtype=np.int32)), "layer 0: weight_ih holds int32 values, must be"),
    "object.npz": (npz(weight_ih_l0=np.array([{}])), "pickled objects are not accepted"),
    "bomb.npz": (bomb, "unpacks to 209715200 bytes, must be 67108864 at most, 100 times the file"),
    "lies.npz": (lying_npz, "damaged, or not a NumPy file"),
    "model.h5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "is HDF5 (Keras .h5, or weights alone), which is not supported: ex"),
    "model.gguf": (b"GGUF" + bytes(20), "is GGUF, which holds no recurrent layers that can be read"),
    "model.tflite": (b"\x1c\0\0\0TFL3" + bytes(20), "is TensorFlow Lite, which is not supported: export the model tha"),
    "model.ort": (b"\x1c\0\0\0ORTM" + bytes(20), "is in the format of ONNX Runtime, which is not supported: give the"),
    "model.pb": (b"\x0a\x02ab", "is a TensorFlow graph, which is not supported: export the model to ONNX"),
    "model.gz": (b"\x1f\x8b" + bytes(20), "is compressed with gzip: unpack it first"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((3, 3)))
    return tmp_path


def written(name: str) -> Path:
    content, path = BAD[name][0], Path(name)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error line of a command run in this process, without "error: "."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert left.value.code == 2, captured.err
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1, captured.err
    assert len(captured.err) < 2000
    return captured.err.removeprefix("error: ").strip()


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "MOST_OPERATIONS", 100_000)  # the real limit takes seconds to reach
    path = written(name)
    before = sorted(folder.rglob("*"))
    message = f"{name}: {BAD[name][1]}"
    assert refused(capsys, "map", "--model", path, "-o", "out").startswith(message)
    if not name.endswith(".onnx"):
        assert refused(capsys, "simulate", "--model", path, "--input", "x.npy", "-o", "out").startswith(message)
    assert sorted(folder.rglob("*")) == before


def test_what_cannot_be_named_or_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(Net().state_dict(), "net.pt")
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"")
    (folder / "empty").mkdir()
    for arguments, message in (
        (["net.pt", "--part", "gru"], "net.pt: part gru is not there; there are rnn (LSTM 3 -> 4), fc (linear 4 -> 2)"),
        (["net.pt", "--part", "rnn", "--part", "fc:gelu"], "net.pt: 'fc:gelu': function 'gelu' is not supported: choo"),
        (["net.pt", "--part", "rnn:tanh"], "net.pt: 'rnn:tanh' follows a recurrent layer: the grid has functions afte"),
        (["net.pt", "--part", "fc", "--part", "rnn"], "net.pt: layer 1 (lstm) takes 3 values, must take 2"),
        (["net.pt", "--part", "fc:softmax", "--part", "rnn"], "net.pt: LSTM 'rnn' follows softmax ('fc:softmax'), whi"),
        (["net.pt", "--part", "rnn", "--cell", "gru"], "net.pt: rnn layer 0: weight_hh has shape 16 x 4, must have 3"),
        (["net.pt", "--part", "rnn", "--cell", "mgu"], "net.pt: rnn layer 0: cell mgu has no packed tensors"),
        (["net.pt", "--from", "x"], "net.pt: --from and --to name tensors of an ONNX graph; here name modules with --"),
        (["absent.pt"], "absent.pt: no such file"),
        (["saved"], "saved: is a TensorFlow SavedModel, which is not supported: export the model to ONNX"),
        (["empty"], "empty: is a directory, must be a model file: ONNX"),
    ):
        assert refused(capsys, "map", "-o", "out", "--model", *arguments).startswith(message)


MALICIOUS: dict[str, Callable[[Malicious], bytes]] = {
    "archive": lambda attack: saved(attack),
    "beside": lambda attack: saved({"state_dict": state(), "hyper": attack}),
    "value": lambda attack: saved(state(bias_ih_l0=attack)),
    "key": lambda attack: archive(b"\x80\x02}(" + pickle.dumps(attack, 2)[2:-1] + b"Nu."),
    "raw": lambda attack: pickle.dumps(attack),
    "old": lambda attack: saved(attack, _use_new_zipfile_serialization=False),
    "text": lambda attack: archive(pickle.dumps(attack, 0)),
    "npz": lambda attack: zipped({"weight_ih_l0.npy": npy(attack)}),
}


def npy(value: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([value], dtype=object), allow_pickle=True)
    return made.getvalue()


@pytest.mark.parametrize("kind", MALICIOUS)
def test_no_code_is_run(kind: str, folder: Path) -> None:
    touched = folder / "touched"
    path = folder / "model.pt"
    path.write_bytes(MALICIOUS[kind](Malicious(f"touch {touched}")))
    with pytest.raises(ModelError, match=r"posix\.system|is a pickle|in its old format|objects are not accepted"):
        load_model(path)
    assert not touched.exists()
    if kind == "archive":
        os.system(f"touch {touched}")  # what the pickle would do
        touched.unlink()
        assert "holds a pickled object of posix.system" in refusal("map", "--model", path, "-o", "out", cwd=folder)
        assert not touched.exists()


def test_objects_that_a_newer_or_older_pickle_makes(folder: Path) -> None:
    """Pickle protocols other than the protocol of torch.save are read as well: the values are the same."""
    for protocol in (2, 3, 4, 5):
        made = saved(state(), pickle_protocol=protocol)
        (folder / "m.pt").write_bytes(made)
        layer = load_model(folder / "m.pt").network.layers[0]
        np.testing.assert_array_equal(layer.tensors["W_i"], state()["weight_ih_l0"][:4].double().numpy())  # type: ignore[union-attr]  # a plain layer


def test_shared_storages_have_a_limit(folder: Path) -> None:
    """Ten thousand layers on one storage would be far larger than the file."""
    one = torch.randn(200, 200)
    tensors = {f"{kind}_l{index}": one for kind in ("weight_ih", "weight_hh") for index in range(300)}
    tensors |= {f"bias_ih_l{index}": one[0] for index in range(300)}
    torch.save({name: value[:, :50] if name[:6] == "weight" else value for name, value in tensors.items()}, "m.pt")
    with pytest.raises(ModelError, match="its tensors share storages so often that they are far larger than the file"):
        load_model("m.pt")


def test_fuzzed_files(folder: Path) -> None:
    """Each mutant is imported or rejected, in little memory; SPATIAL_RNN_FUZZ_SEED gives other mutants."""
    tensors = Net().state_dict()
    torch.save(tensors, "m.pt")
    torch.save({"epoch": 1, "state_dict": tensors, "optimizer": {"state": {0: {"step": torch.ones(3)}}}}, "m.ckpt")
    save_file(tensors, "m.safetensors")
    np.savez("m.npz", **{name: value.double().numpy() for name, value in tensors.items()})
    files = ["m.pt", "m.ckpt", "m.safetensors", "m.npz"]
    done = subprocess.run([sys.executable, FUZZER, ".", str(SEED), str(MUTANTS), *files],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    imported, wrong = map(int, done.stdout.split())
    assert imported + wrong == len(files) * MUTANTS
    assert min(imported, wrong) > MUTANTS // 4


def test_large_files_take_little_memory(folder: Path) -> None:
    """Only the named weights are read."""
    torch.save(Net().state_dict() | {"embedding.weight": torch.ones(20_000, 1000)}, "m.pt")
    save_file(Net().state_dict() | {"embedding.weight": torch.ones(20_000, 1000)}, "m.safetensors")
    code = (
        "import resource, sys, safetensors; from rnn_mapper import load_model, Selection\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "load_model(sys.argv[1], Selection(parts=('rnn', 'fc')))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    for name in ("m.pt", "m.safetensors"):
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
        assert int(done.stdout) * 1024 < 20 << 20, f"{name} has 80 MB"
