"""The generated package: the same bytes everywhere, and every file agrees with the hardware."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hdl.grid.memory import MEMORY_MODULE
from hdl.layouts import Memory, memory_shape
from hdl.naming import ResetPort
from hdl.output.manifest import internal_memory_tables, memory_tables
from hdl.output.package import GridPackage, core_name, make_package
from hdl.parameters import GridParameters, load_parameters, preset_names
from hdl.register_map import BITS, REGISTERS
from rnn_mapper.run.example import example_for
from sim_tests.simulator.lint import icarus_check
from sim_tests.simulator.toolchains import icarus_executable, verilator_environment, verilator_executable
from tests.support.cli_runner import refusal, spatial_rnn

#: Sizes that do not divide evenly, and more rows than bytes in a beat.
ODD = GridParameters(rows=8, cols=3, lanes=12)


@pytest.fixture(scope="module")
def package() -> GridPackage:
    return make_package(ODD)


@pytest.fixture(scope="module")
def folder(package: GridPackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("package")
    package.write(directory)
    return directory


def digests(directory: Path) -> dict[str, str]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_bytes_in_any_directory_with_any_hash_seed(tmp_path: Path) -> None:
    for seed, name in (("0", "one"), ("4711", "elsewhere/two")):
        options = ("--rows", 2, "--cols", 2, "--lanes", 6)
        place = tmp_path / f"started with {seed}"
        place.mkdir()
        assert spatial_rnn("generate", *options, "-o", tmp_path / name, cwd=place, PYTHONHASHSEED=seed).returncode == 0
    one, two = digests(tmp_path / "one"), digests(tmp_path / "elsewhere" / "two")
    assert one == two
    assert {"manifest.json", "spatial_rnn.core", "spatial_rnn.f", "README.md", "rtl/srnn_site.v"} <= set(one)
    for path in (tmp_path / "one").rglob("*"):
        assert path.is_dir() or str(tmp_path) not in path.read_text()


def test_one_file_for_each_module(package: GridPackage, folder: Path) -> None:
    listed = (folder / "spatial_rnn.f").read_text().split()
    assert listed == [module["file"] for module in package.manifest["modules"].values()]
    assert sorted(listed) == sorted(f"rtl/{path.name}" for path in (folder / "rtl").iterdir())
    for name, module in package.manifest["modules"].items():
        found = re.findall(r"^module (\w+)", (folder / module["file"]).read_text(), re.MULTILINE)
        assert found == [name]
    counts = {name: module["instances"] for name, module in package.manifest["modules"].items()}
    assert (counts["spatial_rnn"], counts["srnn_site"], counts["srnn_pmu"]) == (1, ODD.sites, ODD.sites)


def test_ports(package: GridPackage, folder: Path) -> None:
    text = (folder / "rtl/spatial_rnn.v").read_text()
    header = re.findall(r"^  (input|output) +(?:wire|reg) +(?:signed )?(?:\[(\d+):0\] )?(\w+)", text, re.MULTILINE)
    found = {name: (direction, int(top or 0) + 1) for direction, top, name in header}
    named = {port["name"]: (port["direction"], port["width"]) for port in package.manifest["ports"]}
    assert named == found


def instantiated(text: str) -> list[tuple[str, int, int]]:
    """(instance name, width, depth) of the memories in a module's text."""
    found = []
    for body, name in re.findall(rf"{MEMORY_MODULE} #\((.*?)\n  \) (\w+) \(", text, re.DOTALL):
        width, depth = (int(re.search(rf"\.{key}\(32'[sd]*(\d+)\)", body).group(1))  # type: ignore[union-attr]
                        for key in ("WIDTH", "DEPTH"))
        found.append((name, width, depth))
    return found


def test_memories(package: GridPackage) -> None:
    tables = {**memory_tables(ODD), **internal_memory_tables(ODD)}
    expected = sorted(
        (instance.rsplit(".", 1)[1], table["width"], table["depth"])
        for table in tables.values() for instance in table["instances"]
    )
    found = [memory for name, text in package.files.items() if name.endswith(".v") for memory in instantiated(text)]
    assert sorted(found) == expected
    assert package.manifest["modules"][MEMORY_MODULE]["instances"] == sum(t["copies"] for t in tables.values())
    for memory in Memory:
        table = package.manifest["memories"][memory.name]
        assert (table["width"], table["depth"], table["beats"]) == memory_shape(ODD, memory)
        widths = [package.manifest["layouts"][name]["width"] for name in table["layouts"]]
        assert not widths or max(widths) == table["width"]
        assert widths or memory in (Memory.WEIGHT, Memory.VECTOR, Memory.STATE)


def test_layout_fields_fill_their_words(package: GridPackage) -> None:
    for name, layout in package.manifest["layouts"].items():
        offset = 0
        for field in layout["fields"]:
            assert field["offset"] == offset, name
            offset += field["width"]
        assert offset == layout["width"]
    gate = {field["name"]: field for field in package.manifest["layouts"]["gate_entry"]["fields"]}
    assert gate["add_stored"]["text"] == "Add the stored pre-activation at `stored`."
    assert gate["activation"]["type"] == "Activation"


def test_c_header_compiles_and_agrees(folder: Path, tmp_path: Path) -> None:
    expressions = {f"SRNN_REG_{register.name}": register.offset for register in REGISTERS}
    expressions |= {f"SRNN_{name}_{bit.name}_BIT": int(bit) for name, kind in BITS.items() for bit in kind}
    expressions |= {f"SRNN_MEMORY_{memory.name}": int(memory) for memory in Memory}
    expressions |= {f"SRNN_PARAM_{name.upper()}": value for name, value in ODD.to_dict().items()}
    expressions |= {"SRNN_ID_VALUE": 0x53524E4E, "SRNN_INPUT_BEAT_BYTES": 4, "SRNN_LOAD_WORD_LSB": 32}
    checks = "\n".join(f'static_assert({name} == {value}, "{name}");' for name, value in expressions.items())
    source = tmp_path / "check.cpp"
    source.write_text(f'#include "spatial_rnn.h"\n#include "spatial_rnn.h"\n{checks}\n')
    subprocess.run(["g++", "-Wall", "-Werror", "-fsyntax-only", f"-I{folder / 'include'}", str(source)], check=True)
    modules = "\n".join(
        f"if (`{name} !== {value}) $display(\"wrong: {name}\");" for name, value in expressions.items()
    )
    bench = tmp_path / "check.v"
    bench.write_text(f'`include "spatial_rnn.vh"\n`include "spatial_rnn.vh"\nmodule check;\ninitial begin\n{modules}\n'
                     '$display("done"); end\nendmodule\n')
    program = tmp_path / "check.vvp"
    compiler = str(icarus_executable())
    subprocess.run([compiler, "-g2005", "-Wall", f"-I{folder / 'include'}", "-o", program, bench], check=True)
    assert subprocess.run(["vvp", program], capture_output=True, text=True, check=True).stdout == "done\n"


def test_fusesoc_reads_the_core(folder: Path, tmp_path: Path) -> None:
    core = f"spatial-rnn:generated:{core_name(ODD, None, ResetPort.RST)}"
    run = subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", str(folder), "run", "--setup", "--target=lint", core],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    script = next(tmp_path.rglob("*.vc")).read_text()
    for line in (folder / "spatial_rnn.f").read_text().split():
        assert line in script


@pytest.fixture(scope="module", params=["rst", "aresetn"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a FuseSoC library with one grid, as `generate` writes it, in a path with a space."""
    root = tmp_path_factory.mktemp("my cores")
    options = ("--preset", "tiny", "--name", "spotter", "--reset", request.param)
    done = spatial_rnn("generate", *options, "-o", root / "grid")
    assert done.returncode == 0, done.stderr
    return root


def fusesoc(root: Path, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`fusesoc run` on the grid of `generated`, with the Verilator that set-up installs first on the path."""
    work.mkdir(exist_ok=True)
    environment = {**os.environ, **verilator_environment()}
    environment["PATH"] = f"{verilator_executable().parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", str(root), "run", *arguments, "spotter"], cwd=work,
        capture_output=True, text=True, check=False, env=environment,
    )


def test_fusesoc_lints(generated: Path, tmp_path: Path) -> None:
    done = fusesoc(generated, tmp_path / "work", "--target=lint")
    assert done.returncode == 0, done.stdout + done.stderr
    # A fault in the Verilog is one for the target too.
    broken = tmp_path / "broken"
    shutil.copytree(generated, broken)
    top = broken / "grid" / "rtl" / "spatial_rnn.v"
    top.write_text(top.read_text().replace("  wire aborted;\n", ""))
    assert fusesoc(broken, tmp_path / "again", "--target=lint").returncode != 0


@pytest.mark.parametrize("tool", ["icarus", "verilator"])
def test_fusesoc_simulates(generated: Path, tmp_path: Path, tool: str) -> None:
    done = fusesoc(generated, tmp_path / "work", "--target=sim", "--tool", tool)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"PASS: 48 output beats of 6 steps in \d+ cycles, as expected", done.stdout), done.stdout


def test_the_example_sees_differences(generated: Path, tmp_path: Path) -> None:
    for file, old, new in (
        ("example.vh", r"CYCLES (\d+)", r"CYCLES 1\1"),
        ("outputs.hex", r"^(.*).$", r"\1x"),
        ("load.hex", r"^(.*)f$", r"\g<1>0"),
    ):
        broken = tmp_path / file
        shutil.copytree(generated, broken)
        path = broken / "grid" / "example" / file
        text = re.sub(old, new, path.read_text(), count=file != "load.hex", flags=re.MULTILINE)
        assert text != path.read_text()
        path.write_text(text)
        done = fusesoc(broken, tmp_path / f"{file} work", "--target=sim")
        assert done.returncode != 0, file
        assert "PASS" not in done.stdout
        assert "FAIL" in done.stdout + done.stderr


def test_fusesoc_synthesises(generated: Path, tmp_path: Path) -> None:
    done = fusesoc(generated, tmp_path / "work", "--target=synth")
    assert done.returncode == 0, done.stdout + done.stderr
    netlist = json.loads(next((tmp_path / "work").rglob("spatial-rnn_generated_spotter_*.json")).read_text())
    kinds = {cell["type"] for cell in netlist["modules"]["spatial_rnn"]["cells"].values()}
    assert {"LUT4", "TRELLIS_FF", "DP16KD", "MULT18X18D"} <= kinds


def test_the_commands_of_the_package(generated: Path) -> None:
    """README.md of the generated folder."""
    text = (generated / "grid" / "README.md").read_text()
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(commands) == 1
    done = subprocess.run(
        ["bash", "-e", "-c", *commands], cwd=generated / "grid", capture_output=True, text=True, check=True
    )
    assert "PASS" in done.stdout


def test_every_grid_has_an_example() -> None:
    for name in preset_names():
        example = example_for(load_parameters(name))
        assert example is not None
        assert "8 hidden units" in example.title
    small = example_for(GridParameters(rows=1, cols=1, lanes=4, weight_depth=64))
    assert small is not None
    assert "4 hidden units" in small.title
    none = GridParameters(rows=1, cols=1, lanes=4, weight_depth=4)
    assert example_for(none) is None
    package = make_package(none, example=None)
    assert "sim:" not in package.files["spatial_rnn.core"]
    assert not [file for file in package.files if file.startswith("example/")]


def test_two_grids_under_one_root(tmp_path: Path) -> None:
    """Each has a name of its own, so that none replaces another."""
    choices: list[list[object]] = [["--lanes", 4], ["--lanes", 5], ["--name", "spotter"]]
    for index, options in enumerate(choices):
        done = spatial_rnn("generate", "--rows", 1, "--cols", 1, "--lanes", 4, *options, "-o", f"cores/{index}",
                           cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "fusesoc.main", "--cores-root", "cores", "core", "list"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    ).stdout
    names = re.findall(r"spatial-rnn:generated:(\w+)", listed)
    assert len(set(names)) == 3, listed
    assert "spotter" in names
    assert sum(name.startswith("spatial_rnn_1x1x4_") for name in names) == 1
    assert "begin with a letter" in refusal("generate", "--name", "my grid", "-o", "out", cwd=tmp_path)


def test_baked_images(tmp_path: Path) -> None:
    package = make_package(load_parameters("tiny"), init_files="images")
    package.write(tmp_path)
    assert package.manifest["baked_images"] == "images"
    text = "".join(package.files.values())
    assert '"images/spatial_rnn.site_r0_c0.weight_memory.hex"' in text
    for name, table in package.manifest["memories"].items():
        for file in table["image_files"]:
            # State and vectors belong to a sequence, not to a model.
            assert (f'"images/{file.format(row=0, col=0)}"' in text) == (name not in ("STATE", "VECTOR"))
    icarus_check([tmp_path / file for file in (tmp_path / "spatial_rnn.f").read_text().split()], "spatial_rnn")


def test_paper_size(tmp_path: Path) -> None:
    done = spatial_rnn("generate", "--preset", "paper", "-o", tmp_path / "out", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert result["verilog_bytes"] <= 2_000_000
    assert result["instances"]["srnn_site"] == 192
