"""Builds of generated Verilog for Icarus or Verilator, each made once for all tests and processes."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from hdl.errors import ConfigurationError, ToolError
from sim_tests.simulator.runners import ProjectIcarus, ProjectRunner, ProjectVerilator, is_plain
from sim_tests.simulator.toolchains import tool_versions

#: Generated Verilog has no timescale of its own.
TIMESCALE = ("1ns", "1ps")
#: Written last: what has it is a whole build.
_COMPLETE = "complete.json"
_LOG = "build.log"
#: Ports of a tile that are the same wire everywhere. They stay private, so that Verilator has one clock to watch.
GLOBAL_PORTS = ("clk", "rst")
#: Program and makefile of a host that is linked with a Verilated model.
HOST = "host"


@dataclass(frozen=True)
class Build:
    """A simulation that is ready to run any number of tests, from any number of processes."""

    simulator: str
    top: str
    directory: Path
    #: True when the build can record waves.
    waves: bool
    #: True when an earlier build was found in the cache.
    cached: bool
    #: Wall time of this call, in seconds.
    seconds: float
    #: The program of `build`'s `host_sources`, if there were any.
    host: Path | None = None


@dataclass(frozen=True)
class _Options:
    """Everything a build depends on besides the contents of its sources."""

    top: str
    simulator: str
    parameters: abc.Mapping[str, object]
    defines: abc.Mapping[str, object]
    #: Ports of every tile module.
    tiles: abc.Mapping[str, tuple[str, ...]]
    ports: tuple[str, ...]
    waves: bool
    tools: tuple[str, ...]
    #: Whether a host of its own is linked with the model.
    host: bool
    #: Incremented when the build steps change, so that older builds are not used.
    recipe: int = 2


def default_cache() -> Path:
    """Return the folder for builds: $SPATIAL_RNN_CACHE, else spatial-rnn in the user's cache folder."""
    if named := os.environ.get("SPATIAL_RNN_CACHE"):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spatial-rnn"


def port_names(sources: Sequence[Path], top: str) -> list[str]:
    """Return the names of the ports of module `top`, in order; raise `ConfigurationError` when no source has `top`."""
    parameters = r"(?:#\s*\(.*?\)\s*)?"
    header = re.compile(rf"^\s*module\s+{re.escape(top)}\s*{parameters}\(([^)]*)\)\s*;", re.MULTILINE | re.DOTALL)
    for source in sources:
        text = re.sub(r"//.*|\(\*.*?\*\)", " ", source.read_text())
        if found := header.search(text):
            declarations = re.sub(r"\[[^]]*\]|=[^,]*", " ", found.group(1)).split(",")
            # A name that is a keyword of SystemVerilog has a backslash in front, which is not part of the name.
            if names := [declaration.split()[-1].lstrip("\\") for declaration in declarations if declaration.split()]:
                return names
    raise ConfigurationError(f"no module {top!r} with ports in {', '.join(map(str, sources))}: name the top module")


def _key(sources: Sequence[Path], options: _Options, hosts: abc.Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(asdict(options), sort_keys=True, default=str).encode())
    contents = [(source.name, source.read_bytes()) for source in sources]
    for name, content in [*contents, *((name, text.encode()) for name, text in hosts.items())]:
        digest.update(f"\n{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


#: Additional rules for Verilator's makefile, which has the same for cocotb's main program.
_HOST_RULES = f"""\
{HOST}.o: {HOST}.cpp $(VM_PREFIX).mk
\t$(OBJCACHE) $(CXX) $(CXXFLAGS) $(CPPFLAGS) $(OPT_FAST) -c -o $@ $<
{HOST}: {HOST}.o $(VK_GLOBAL_OBJS) $(VM_PREFIX)__ALL.a
\t$(LINK) $(LDFLAGS) $^ $(LOADLIBES) $(filter-out $(VM_USER_LDLIBS),$(LDLIBS)) $(LIBS) -o $@
"""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise ToolError(
            f"builds cannot be kept in {path.parent}: {error.strerror}; set SPATIAL_RNN_CACHE to a folder"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _verilator_arguments(runner: ProjectVerilator, directory: Path, options: _Options) -> list[str]:
    runner.make_variables = ["CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2"]
    if shutil.which("ccache"):
        runner.make_variables.append("OBJCACHE=ccache")
    lines = ["`verilator_config"]
    lines += [f'public_flat_rw -module "{options.top}" -var "{port}"' for port in options.ports]
    # Instances of a tile share code if no difference between them reaches into the tile: tiles are not inlined
    # (no_inline), their ports are variables (public), and no pass treats each instance in its own scope.
    for tile, ports in options.tiles.items():
        lines.append(f'no_inline -module "{tile}"')
        lines += [f'public_flat_rw -module "{tile}" -var "{port}"' for port in ports if port not in GLOBAL_PORTS]
    control = directory / "control.vlt"
    control.write_text("\n".join(lines) + "\n")
    optimise = ["-fno-dfg-scoped"] if options.tiles else ["-O3"]
    if options.host:
        (directory / f"{HOST}.mk").write_text(_HOST_RULES)
        runner.make_variables += ["-f", f"{HOST}.mk", options.top, HOST]
    # Lint is a separate step (sim_tests/simulator/lint.py).
    return ["-Wno-fatal", "-Wno-lint", "-Wno-style", *optimise, str(control)]


def build(
    sources: Sequence[Path],
    top: str,
    simulator: str,
    *,
    parameters: abc.Mapping[str, object] | None = None,
    defines: abc.Mapping[str, object] | None = None,
    tile_modules: Sequence[str] = (),
    public_ports: Sequence[str] | None = None,
    waves: bool = False,
    host_sources: abc.Mapping[str, str] | None = None,
    cache_dir: Path | None = None,
) -> Build:
    """Build `sources` (Verilog-2005 files) with top module `top`, or find this build in the cache.

    `simulator` is "icarus" or "verilator". `parameters` are parameters of the top. `tile_modules` are modules with many
    instances, whose code Verilator then shares (pays off beyond about 16 instances); `public_ports` are the signals of
    the top that tests may access under Verilator (default: all ports). `host_sources` are C++ files by name, among them
    "host.cpp", a program that drives Verilator's model `Vtop` without cocotb (not for Icarus). The key of a build is
    the contents of the sources, the options and the versions of the tools; files that memories read at run time are
    not part of it.
    Raises `ToolError` when the simulator is missing or the build fails.
    """
    started = time.perf_counter()
    hosts = dict(host_sources or {})
    options = _Options(
        top=top,
        simulator=simulator,
        parameters=dict(parameters or {}),
        defines=dict(defines or {}),
        tiles={tile: tuple(port_names(sources, tile)) for tile in tile_modules},
        ports=tuple(port_names(sources, top) if public_ports is None else public_ports),
        waves=waves,
        tools=tuple(tool_versions(simulator)),
        host=bool(host_sources),
    )
    directory = (cache_dir or default_cache()).absolute() / f"{top}-{simulator}-{_key(sources, options, hosts)}"
    with _locked(directory.with_suffix(".lock")):
        cached = _is_whole(directory)
        if not cached:
            with _workshop(directory) as folder:
                _build(folder, directory / _LOG, sources, options, hosts)
                programs = {path.name: _digest(path) for path in _programs(folder, options)}
                contents = {"programs": programs, "options": asdict(options)}
                (folder / _COMPLETE).write_text(json.dumps(contents, default=str, indent=1))
    host = directory / HOST if hosts else None
    return Build(simulator, top, directory, waves, cached, time.perf_counter() - started, host)


def _programs(directory: Path, options: _Options) -> list[Path]:
    """What a simulation executes."""
    names = ["sim.vvp"] if options.simulator == "icarus" else [options.top, *([HOST] if options.host else [])]
    return [directory / name for name in names]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(directory: Path) -> bool:
    """Whether a build is there, and its programs have the contents that it ended with."""
    try:
        programs: dict[str, str] = json.loads((directory / _COMPLETE).read_text())["programs"]
        return bool(programs) and all(_digest(directory / name) == found for name, found in programs.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


@contextmanager
def _workshop(directory: Path) -> Iterator[Path]:
    """A folder to build in, which becomes `directory` at the end of the block unless the block raises.

    It is beside `directory`; or elsewhere if that path has spaces, in which make does not work. The log of a build that
    fails stays in `directory`. Raises `ToolError` when there is no such place, or no room in it.
    """
    near = directory.parent
    places = [near] if is_plain(near) else [
        Path(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp", Path.home())
    ]
    place = next((place for place in places if is_plain(place) and os.access(place, os.W_OK)), None)
    if place is None:
        raise ToolError(
            f"Verilator cannot build in {near}, because make takes no path with spaces, nor in {places[0]}: set "
            "SPATIAL_RNN_CACHE to another folder"
        )
    try:
        # What a process that was killed has left. The lock is ours, so nobody builds there.
        for left in place.glob(f"{directory.name}.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{directory.name}.", dir=place))
        try:
            yield folder
        except ToolError:
            _move(folder / _LOG, directory)
            raise
        finally:
            if (folder / _COMPLETE).exists():
                _move(folder, directory)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ToolError(
            f"no build can be kept in {near}: {error.strerror}; set SPATIAL_RNN_CACHE to a folder with room"
        ) from error


def _move(source: Path, directory: Path) -> None:
    """Put a build, or only the log of one, in place of what is there."""
    shutil.rmtree(directory, ignore_errors=True)
    if source.is_dir():
        shutil.move(source, directory)
    elif source.exists():
        directory.mkdir()
        shutil.move(source, directory / source.name)


def _build(
    directory: Path, kept_log: Path, sources: Sequence[Path], options: _Options, hosts: abc.Mapping[str, str]
) -> None:
    """Build in a directory; an error names the place to which its log will have been moved."""
    # The build reads copies, so that it does not depend on later changes of the generated directory.
    copies = directory / "sources"
    copies.mkdir()
    files = [Path(shutil.copyfile(source, copies / f"{index}_{source.name}")) for index, source in enumerate(sources)]
    for name, text in hosts.items():
        (directory / name).write_text(text)
    log = directory / _LOG
    runner: ProjectRunner = ProjectIcarus() if options.simulator == "icarus" else ProjectVerilator()
    arguments: list[str] = []
    if isinstance(runner, ProjectVerilator):
        arguments = _verilator_arguments(runner, directory, options)
    try:
        runner.build(
            sources=files,
            hdl_toplevel=options.top,
            parameters=options.parameters,
            defines=options.defines,
            build_args=arguments,
            build_dir=directory,
            timescale=TIMESCALE,
            waves=options.waves,
            log_file=log,
            always=True,
        )
    except RuntimeError as error:
        raise ToolError(
            f"{options.simulator} could not build {options.top}: {error}: {first_error(log)} (all of it: {kept_log})"
        ) from error


def first_error(log: Path) -> str:
    """Return the first line of `log` that reports an error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    found = (line for line in lines if re.search(r"\berror\b|\*\*\*", line, re.IGNORECASE))
    return next(found, lines[-1] if lines else "no output")
