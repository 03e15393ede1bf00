"""Run cocotb tests on a build of generated Verilog; a failing test raises.

    grid = build(sources, "top", "icarus")
    result = run(grid, "sim_tests.some_testbench", results_dir=Path("build/run"), seed=1)
"""

import shutil
import subprocess
import tempfile
import time
from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from hdl.errors import ConfigurationError, OutputError, ToolError
from sim_tests.simulator.builds import Build, build, first_error
from sim_tests.simulator.runners import ProjectIcarus, ProjectRunner, ProjectVerilator
from sim_tests.simulator.toolchains import SIMULATORS, icarus_executable

__all__ = ["SIMULATORS", "Build", "RunResult", "SimulationError", "build", "logs_kept", "run"]


class SimulationError(ToolError):
    """A simulation ran no test, ended abnormally or took too long, or one of its tests failed; see `log`."""

    def __init__(self, problem: str, log: Path) -> None:
        super().__init__(f"{problem}: see {log}")
        self.problem, self.log = problem, log


#: How the name of the folder begins in which a command keeps its temporary files.
COMMAND_FOLDER = "spatial-rnn-"


@contextmanager
def logs_kept() -> Iterator[None]:
    """For simulations in a temporary folder: the log of a failed one is copied to a folder that stays.

    The error names the copy.
    """
    try:
        yield
    except SimulationError as error:
        # A command deletes its own folder of temporary files (COMMAND_FOLDER) when it ends.
        place = Path(tempfile.gettempdir())
        place = place.parent if place.name.startswith(COMMAND_FOLDER) else place
        kept = Path(tempfile.mkdtemp(prefix="srnn_failed_", dir=place)) / error.log.name
        shutil.copyfile(error.log, kept)
        raise SimulationError(error.problem, kept) from error


@dataclass(frozen=True)
class RunResult:
    """A simulation in which every test passed."""

    #: Names of the cocotb tests that ran.
    tests: tuple[str, ...]
    #: Wall time, in seconds.
    seconds: float
    log: Path
    results: Path
    waves: Path | None


def _read_results(results: Path, log: Path, what: str, ended: str | None) -> tuple[str, ...]:
    """Return the names of the tests that passed; raise `SimulationError` unless there are some and all passed."""
    try:
        cases = list(ElementTree.parse(results).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        raise SimulationError(f"{what} ended without results ({ended or first_error(log)})", log) from None
    ran = [case for case in cases if case.find("skipped") is None]
    failed = {}
    for case in ran:
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            text = problem.get("error_msg") or problem.get("message") or problem.text or "no message"
            failed[str(case.get("name"))] = " ".join(text.split())
    if failed:
        first, message = next(iter(failed.items()))
        raise SimulationError(f"{what}: {len(failed)} of {len(ran)} tests failed, first {first}: {message}", log)
    if ended is not None:
        raise SimulationError(f"{what} ended abnormally after its tests ({ended})", log)
    if not ran:
        raise SimulationError(f"{what} ran no test: check the test module and the test case", log)
    return tuple(str(case.get("name")) for case in ran)


def run(
    build: Build,
    test_module: str,
    *,
    results_dir: Path,
    seed: int,
    testcase: str | None = None,
    env: abc.Mapping[str, str] | None = None,
    plusargs: Sequence[str] = (),
    waves: bool = False,
    timeout: float | None = None,
) -> RunResult:
    """Run the cocotb tests of `test_module` (importable from the current `sys.path`) on `build`.

    `testcase` selects one test; `env` are environment variables of the tests, `plusargs` ("+name=value") arguments of
    the Verilog; `seed` is cocotb's random seed; `timeout` is in seconds of wall time. The log, the results and the
    waves go to `results_dir`, which is created if needed. Concurrent runs may share a build, but not a `results_dir`.
    Raises `SimulationError` when a test fails or none ran.
    """
    if waves and not build.waves:
        raise ConfigurationError(f"this build of {build.top} cannot record waves: build it with waves=True")
    results_dir = results_dir.absolute()
    log, results = results_dir / "simulation.log", results_dir / "results.xml"
    try:
        results_dir.mkdir(parents=True, exist_ok=True)
        log.write_text("")
    except OSError as error:
        raise OutputError(f"cannot write results to {results_dir}: {error.strerror}; name another folder") from error
    runner: ProjectRunner
    arguments = list(plusargs)
    waves_file = results_dir / ("waves.fst" if build.simulator == "icarus" else "waves.vcd")
    options: list[str] = []
    if build.simulator == "icarus":
        icarus_executable()
        runner = ProjectIcarus()
        if waves:
            arguments.append(f"+dumpfile_path={waves_file.name}")
    else:
        runner = ProjectVerilator()
        if waves:
            options = ["--trace-file", waves_file.name]
    runner.extra_environment = dict(env or {})
    runner.timeout = timeout
    started = time.perf_counter()
    ended: str | None = None
    try:
        runner.test(
            test_module,
            build.top,
            hdl_toplevel_lang="verilog",
            testcase=testcase,
            seed=seed,
            test_args=options,
            plusargs=arguments,
            build_dir=build.directory,
            test_dir=results_dir,
            results_xml=str(results),
            waves=waves,
            log_file=log,
        )
    except subprocess.TimeoutExpired:
        raise SimulationError(f"simulation of {build.top} took more than {timeout} s", log) from None
    except RuntimeError as error:
        ended = str(error)
    except SystemExit:
        # Under pytest, cocotb exits the process when a test failed; the results name the test.
        pass
    seconds = time.perf_counter() - started
    tests = _read_results(results, log, f"simulation of {build.top} with {build.simulator}", ended)
    return RunResult(tests, seconds, log, results, waves_file if waves else None)
