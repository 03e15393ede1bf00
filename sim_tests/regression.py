"""The simulations of the regression: which bench runs on which grid under which simulator, and how to run one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hdl.errors import SpatialRnnError
from sim_tests.bench.component_bench import COMPONENTS, build_component, build_memory
from sim_tests.bench.grids import GRIDS, ICARUS_GRIDS
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import run

__all__ = ["Job", "Outcome", "all_jobs", "run_job", "short_jobs"]

#: Bench of each component that is tested alone.
_BENCHES = {
    **dict.fromkeys(("dot_product", "requantiser", "activation", "multiply_accumulate"), "check_datapath"),
    **dict.fromkeys(("distributor", "collector"), "check_links"),
    **{
        component: f"check_{component}" for component in (
            "gate_path", "unit_path", "pcu", "sequencer", "pmu", "memory", "vector_input", "image_loader",
            "output_stream", "registers", "controller",
        )
    },
}
#: Benches that raise every error flag.
_ERRORS = ("check_host_errors", "check_collisions")
#: Grids whose parameters the components get.
_COMPONENT_GRIDS = ("2x2x8", "8x1x4", "1x4x5", "4x3x12", "4x2x7", "1x2x5-16", "8x1x4-16", "4x2x12-16")
#: Components in which the width of operands is felt most.
_OPERAND_COMPONENTS = ("dot_product", "requantiser", "pcu", "collector", "vector_input", "image_loader")
#: Wall time after which a job is taken to hang.
_TIMEOUT = 900.0


@dataclass(frozen=True)
class Job:
    """One bench on one build: of a component when it is named, else of a grid."""

    simulator: str
    grid: str
    bench: str
    component: str | None = None
    #: Variables of the bench besides SRNN_GRID.
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique, and good as a file name."""
        return f"{self.component or self.bench.removeprefix('check_')}-{self.grid}-{self.simulator}"


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    #: Tests that passed; 0 when the job failed.
    tests: int
    build_seconds: float
    run_seconds: float
    error: str | None


def run_job(job: Job, results: Path) -> Outcome:
    """Build (or find the build) and run; a failure is part of the outcome."""
    started = time.perf_counter()
    built = started
    try:
        if job.component is None:
            build = build_grid(GRIDS[job.grid], job.simulator)
        elif job.component == "memory":
            build = build_memory(job.simulator)
        else:
            build = build_component(job.component, GRIDS[job.grid], job.simulator)
        built = time.perf_counter()
        done = run(
            build, f"sim_tests.checks.{job.bench}", results_dir=results / job.name, seed=1, testcase=job.component,
            env={"SRNN_GRID": job.grid, **job.environment}, timeout=_TIMEOUT,
        )
    except SpatialRnnError as error:
        return Outcome(job, 0, built - started, time.perf_counter() - built, str(error))
    return Outcome(job, len(done.tests), built - started, done.seconds, None)


def _components(
    simulator: str, grids: tuple[str, ...], stride: int, chosen: tuple[str, ...] = tuple(_BENCHES)
) -> Iterator[Job]:
    assert _BENCHES.keys() == {*COMPONENTS, "memory"}
    for grid in grids:
        for component in chosen:
            bench = _BENCHES[component]
            if component == "memory" and grid != grids[0]:
                continue
            environment = {"SRNN_STRIDE": str(stride)} if component == "activation" else {}
            yield Job(simulator, grid, bench, component, environment)


def _grid(simulator: str, grid: str, models: int, operations: int) -> Iterator[Job]:
    yield Job(simulator, grid, "check_random", environment={"SRNN_COUNT": str(models)})
    if operations:
        yield Job(simulator, grid, "check_operations", environment={"SRNN_COUNT": str(operations)})


def short_jobs() -> list[Job]:
    """What continuous integration runs: every bench under one simulator at least, both simulators, in a few minutes."""
    return [
        *_components("icarus", ("2x2x8", "8x1x4"), stride=5),
        *_components("icarus", ("8x1x4-16",), stride=5, chosen=_OPERAND_COMPONENTS),
        *_grid("icarus", "1x2x5-16", models=2, operations=0),
        *_grid("icarus", "2x2x8", models=5, operations=0),
        *(Job("icarus", "2x2x8", bench) for bench in _ERRORS),
        Job("icarus", "1x1x4", "check_host"),
        Job("icarus", "1x1x4", "check_abort"),
        *_grid("verilator", "2x2x8", models=20, operations=30),
        Job("verilator", "2x2x8", "check_rails"),
        *_grid("verilator", "8x1x4", models=10, operations=0),
        *(Job("verilator", "8x1x4", bench) for bench in _ERRORS),
        *_grid("verilator", "4x3x12", models=10, operations=10),
        *_grid("verilator", "4x2x12-16", models=10, operations=10),
    ]


def all_jobs() -> list[Job]:
    """The whole regression, the slowest builds last."""
    jobs = [
        *_components("icarus", _COMPONENT_GRIDS, stride=1),
        *_components("verilator", _COMPONENT_GRIDS[:1], stride=1),
    ]
    for grid in ICARUS_GRIDS:
        jobs += _grid("icarus", grid, models=4, operations=0)
        jobs += [Job("icarus", grid, bench) for bench in _ERRORS]
    jobs += [Job("icarus", "1x1x4", bench) for bench in ("check_host", "check_abort")]
    for grid in GRIDS:
        jobs += _grid("verilator", grid, models=25, operations=25)
        jobs += [Job("verilator", grid, bench) for bench in (*_ERRORS, "check_host", "check_abort", "check_long")]
        if grid not in ("1x4x5", "1x2x5-16"):
            # Its units are too few for c to reach its limit.
            jobs.append(Job("verilator", grid, "check_rails"))
    return jobs
