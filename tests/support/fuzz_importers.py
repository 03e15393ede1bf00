"""Feeds damaged model files to `load_model`, in a process of its own with little memory.

    python fuzz_importers.py FOLDER SEED COUNT FILE...

Each file is damaged COUNT times: cut, bytes changed, and by its structure (operations of a pickle, members of a zip,
header of safetensors, headers of arrays). Every mutant is either imported or refused with ModelError in one line; it
prints how many of each. Names that would run something leave FOLDER/touched behind if they are run.
"""

from __future__ import annotations

import io
import json
import pickletools
import random
import resource
import struct
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from rnn_mapper import Selection, load_model
from rnn_mapper.errors import ModelError

#: Bytes of address space beyond what Python and numpy have taken.
MEMORY = 512 << 20
#: Seconds that a mutant may take.
LONGEST = 20.0
NUMBERS = (0, 1, 2, 255, 65535, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 62), -1)
NAMES = (b"posix system", b"builtins exec", b"builtins bytearray", b"torch._utils _rebuild_qtensor", b"torch Size",
         b"collections OrderedDict", b"torch IntStorage", b"torch BFloat16Storage", b"torch.nn.modules.rnn LSTM",
         b"torch._utils _rebuild_tensor_v2", b"torch._utils _rebuild_parameter", b"torch._tensor _rebuild_from_type_v2")
OPERATIONS = (b"0", b"2", b"1", b"(", b"t", b"]", b"}", b")", b"R", b"b", b"Q", b"s", b"u", b"a", b"e", b"N", b"\x81",
              b"\x92", b"\x93", b"\x94", b"\x8f", b"o", b"i", b"\x8a\x08" + b"\xff" * 7 + b"\x7f", b"h\x00", b"q\x01")


def cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))]


def flip(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice([1, 1, 2, 8])):
        changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed)


def flip_ends(data: bytes, choose: random.Random) -> bytes:
    """Where the headers and directories are."""
    changed = bytearray(data)
    for _ in range(choose.choice([1, 2, 4])):
        place = choose.randrange(min(400, len(changed)))
        changed[place if choose.random() < 0.5 else -1 - place] = choose.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(changed)


def mutate_pickle(data: bytes, choose: random.Random, touched: Path) -> bytes:
    starts = [place for _, _, place in pickletools.genops(data)]
    pieces = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    for _ in range(choose.choice([1, 1, 2, 3])):
        place = choose.randrange(len(pieces))
        piece = pieces[place]
        match choose.randrange(6):
            case 0:
                number = choose.choice(NUMBERS)
                pieces[place] = b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
            case 1:
                names = [index for index, one in enumerate(pieces) if one[:1] == b"c"]
                if names:
                    pieces[choose.choice(names)] = b"c" + choose.choice(NAMES).replace(b" ", b"\n") + b"\n"
            case 2:
                pieces.insert(place, choose.choice(OPERATIONS))
            case 3:
                del pieces[place]
            case 4:
                pieces.insert(place, choose.choice(pieces))
            case _:
                text = str(touched).encode()
                attack = b"cposix\nsystem\n(X" + struct.pack("<I", 6 + len(text)) + b"touch " + text + b"tR"
                pieces.insert(place, attack if choose.random() < 0.5 else piece[:1])
    return b"".join(pieces)


def mutate_zip(data: bytes, choose: random.Random, touched: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = choose.randrange(len(members))
    name, content = members[place]
    match choose.randrange(6):
        case 0 | 1 | 2:
            found = [index for index, (one, _) in enumerate(members) if one.endswith("data.pkl")]
            if found:
                members[found[0]] = members[found[0]][0], mutate_pickle(members[found[0]][1], choose, touched)
            else:
                members[place] = name, mutate_array(content, choose)
        case 3:
            del members[place]
        case 4:
            members[place] = name, cut(content + b"x", choose)
        case _:
            members.append((choose.choice([name, "a/code/__torch__.py", "../x", "a/data/0", "\x1b[2J"]), content))
    made = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if choose.random() < 0.1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", kind) as archive:
        for one, content in members:
            archive.writestr(one, content)
    changed = bytearray(made.getvalue())
    if choose.random() < 0.3:  # sizes and offsets in the central directory lie
        entry = changed.rfind(b"PK\x01\x02")
        changed[entry + (at := choose.choice([10, 20, 24, 42])) : entry + at + 4] = choose.randbytes(4)
    return bytes(changed)


def mutate_array(content: bytes, choose: random.Random) -> bytes:
    """An .npy with another header of the same length."""
    changes = ((b"<f8", b"|O8"), (b"<f8", b">f8"), (b"<f8", b"<i8"), (b"<f8", b"<M8"), (b"(", b"(9"), (b", ", b"9, "),
               (b"False", b"True "), (b"{", b"["), (b"'shape'", b"'shap' "))
    old, new = choose.choice(changes)
    changed = content.replace(old, new, 1)
    return changed[:-3] if len(changed) > len(content) and choose.random() < 0.5 else changed


def mutate_safetensors(data: bytes, choose: random.Random, touched: Path) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    for _ in range(choose.choice([1, 2])):
        entry = header[choose.choice(sorted(header))]
        match choose.randrange(5):
            case 0:
                entry["dtype"] = choose.choice(["F64", "BF16", "I8", "F8_E5M2", "XX", "", 3])
            case 1:
                entry["shape"] = [choose.choice(NUMBERS) for _ in range(choose.randrange(5))]
            case 2:
                entry["data_offsets"] = [choose.choice(NUMBERS), choose.choice(NUMBERS)]
            case 3:
                entry.pop(choose.choice(sorted(entry)), None)
            case _:
                header[choose.choice(["\x1b[2J", "x" * 5000, "a.weight_ih_l9999", ""])] = entry
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    size = choose.choice([len(text)] * 8 + [0, 1 << 62, len(text) + 8])
    return struct.pack("<Q", size) + text + data[8 + length :]


def mutants(data: bytes, kind: str, touched: Path) -> list[Callable[[random.Random], bytes]]:
    structural = mutate_safetensors if kind == ".safetensors" else mutate_zip
    return [
        lambda choose: cut(data, choose), lambda choose: flip(data, choose), lambda choose: flip_ends(data, choose),
        *[lambda choose: structural(data, choose, touched)] * 4,
    ]


def main(folder: Path, seed: int, count: int, files: list[Path]) -> None:
    warnings.simplefilter("ignore")  # of zip members with the same name
    touched = folder / "touched"
    for file in files:
        load_model(file, Selection(parts=("rnn", "fc")))  # everything is loaded and warm; these are intact
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    imported = refused = 0
    for file in files:
        data, choose = file.read_bytes(), random.Random(f"{seed} {file.name}")
        ways = mutants(data, file.suffix, touched)
        for number in range(count):
            mutant = folder / f"mutant{file.suffix}"
            mutant.write_bytes(ways[number % len(ways)](choose))
            started = time.monotonic()
            try:
                load_model(mutant, Selection(parts=("rnn", "fc")))
                imported += 1
            except ModelError as error:
                refused += 1
                text = str(error)
                assert "memory" not in text, f"{file.name} {number}: {text}"
                assert text.isprintable(), f"{file.name} {number}: {text!r}"
                assert len(text) < 3000, f"{file.name} {number}: {text}"
            except BaseException:
                print(f"mutant {number} of {file.name}")
                raise
            assert time.monotonic() - started < LONGEST, f"{file.name} {number}"
            assert not touched.exists(), f"{file.name} {number} ran something"
    print(imported, refused)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
