"""The jobs of the regression: which bench runs on which grid under which simulator, and how to run one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hdl.errors import SpatialRnnError
from sim_tests.bench.component_bench import COMPONENTS, build_component, build_memory
from sim_tests.bench.grids import GRIDS, ICARUS_GRIDS, TINY_GRIDS
from sim_tests.host.grid_build import build_grid
from sim_tests.simulator.run import run

__all__ = ["DEPENDS", "Job", "Outcome", "all_jobs", "bench_of", "longest_first", "run_job"]

#: The bench of each component that is simulated alone.
_BENCHES = {
    **dict.fromkeys(
        ("dot_product", "partial_chain", "requantiser", "activation", "multiply_accumulate"), "check_datapath"
    ),
    **dict.fromkeys(("distributor", "collector"), "check_links"),
    **{
        component: f"check_{component}" for component in (
            "gate_path", "unit_path", "pcu", "sequencer", "pmu", "memory", "vector_input", "image_loader",
            "output_stream", "registers", "controller",
        )
    },
}
#: Grids from which the components take their parameters under Verilator: what is compiled is the same Verilog.
_COMPILED_COMPONENTS = ("2x2x8", "1x2x5-16")
#: Seconds that a job runs on an idle core, where they are well over the usual few: for the order and the time left.
_RUN_SECONDS = {
    "schedules": 90.0, "long": 25.0, "rails": 20.0, "activation": 20.0, "random": 12.0, "operations": 11.0,
    "controller": 10.0, "collisions": 7.0,
}
#: Wall time after which a job counts as hanging.
_TIMEOUT = 900.0


@dataclass(frozen=True)
class Job:
    """One bench on one build: of a component if it is named, else of a whole grid."""

    simulator: str
    grid: str
    bench: str
    component: str | None = None
    #: Variables of the bench besides SRNN_GRID.
    environment: dict[str, str] = field(default_factory=dict)
    #: Memories start from random words instead of zeros, as those of a chip do.
    scramble: bool = False

    @property
    def subject(self) -> str:
        """The component, or what the bench does with a grid."""
        return self.component or self.bench.removeprefix("check_")

    @property
    def name(self) -> str:
        """Unique, and good as a file name."""
        return f"{self.subject}-{self.grid}-{self.simulator}{'-scrambled' if self.scramble else ''}"

    @property
    def build(self) -> tuple[str, str, str | None]:
        """Jobs with the same use the same build."""
        return self.simulator, self.grid, self.component

    @property
    def run_seconds(self) -> float:
        """About how long the job takes without its build."""
        return _RUN_SECONDS.get(self.subject, 5.0)

    @property
    def build_seconds(self) -> float:
        """About how long its build takes."""
        if self.component is not None or self.simulator != "verilator":
            return 5.0 if self.simulator == "verilator" else 1.0
        return 10 + GRIDS[self.grid].multipliers / 4


@dataclass(frozen=True)
class Outcome:
    """The result of a job."""

    job: Job
    #: Tests that passed; 0 if the job failed.
    tests: int
    build_seconds: float
    run_seconds: float
    error: str | None


def run_job(job: Job, results: Path) -> Outcome:
    """Build (or find the build) and run; a failure, of whatever kind, is part of the outcome."""
    started = time.perf_counter()
    built = started
    try:
        if job.component is None:
            build = build_grid(GRIDS[job.grid], job.simulator)
        elif job.component == "memory":
            build = build_memory(job.simulator, GRIDS[job.grid])
        else:
            build = build_component(job.component, GRIDS[job.grid], job.simulator)
        built = time.perf_counter()
        done = run(
            build, f"sim_tests.checks.{job.bench}", results_dir=results / job.name, seed=1, testcase=job.component,
            env={"SRNN_GRID": job.grid, **job.environment}, timeout=_TIMEOUT,
            plusargs=["+scramble"] if job.scramble else [],
        )
    except Exception as error:
        text = str(error) if isinstance(error, SpatialRnnError) else f"{type(error).__name__}: {error}"
        return Outcome(job, 0, built - started, time.perf_counter() - built, text)
    return Outcome(job, len(done.tests), built - started, done.seconds, None)


def _components(simulator: str, grids: tuple[str, ...]) -> Iterator[Job]:
    assert _BENCHES.keys() == {*COMPONENTS, "memory"}
    for component, bench in _BENCHES.items():
        names = DEPENDS.get(component)
        seen = set()
        for grid in grids:
            values = grid if names is None else tuple(getattr(GRIDS[grid], name) for name in names)
            if values not in seen:
                seen.add(values)
                yield Job(simulator, grid, bench, component)


#: Components whose Verilog depends on a few parameters only: one of several grids with the same values is enough.
DEPENDS: dict[str, tuple[str, ...]] = {
    "memory": ("memory_registers", "weight_ports"), "activation": ("table_segments", "memory_registers"),
    "multiply_accumulate": ("carry_save",), "partial_chain": ("accumulator_bits",),
    "requantiser": ("accumulator_bits", "operand_bits", "carry_save"),
}
#: Benches of whole grids, with their variables under Verilator, where they run on all grids, and under Icarus, with the
#: grids there: an event-driven simulator takes minutes for many sequences on a larger grid.
_GRID_BENCHES: dict[str, tuple[dict[str, str], dict[str, str], tuple[str, ...]]] = {
    "check_random": ({"SRNN_COUNT": "25"}, {"SRNN_COUNT": "4"}, ICARUS_GRIDS),
    "check_operations": ({"SRNN_COUNT": "25"}, {"SRNN_COUNT": "3"}, TINY_GRIDS),
    "check_host_errors": ({}, {}, TINY_GRIDS),
    "check_collisions": ({}, {}, TINY_GRIDS),
    "check_host": ({}, {}, TINY_GRIDS),
    "check_abort": ({}, {}, TINY_GRIDS),
    # A short version of `make soak`.
    "check_soak": ({"SRNN_SEED": "1", "SRNN_COUNT": "12"}, {"SRNN_SEED": "1", "SRNN_COUNT": "3"}, TINY_GRIDS),
    "check_response": ({"SRNN_COUNT": "6"}, {"SRNN_COUNT": "2"}, TINY_GRIDS),
    "check_long": ({}, {}, ()),
    "check_rails": ({}, {}, ()),
}
#: Benches and grids that also run with memories that start from random words.
_SCRAMBLED_BENCHES = ("check_random", "check_operations", "check_host", "check_host_errors")
_SCRAMBLED_GRIDS = ("2x2x8", "1x2x5-16")


def all_jobs() -> list[Job]:
    """The whole regression: every component and every bench on every grid that a simulator is fast enough for."""
    jobs = [*_components("icarus", tuple(GRIDS)), *_components("verilator", _COMPILED_COMPONENTS)]
    for bench, (compiled, interpreted, grids) in _GRID_BENCHES.items():
        jobs += [Job("verilator", grid, bench, environment=compiled) for grid in GRIDS]
        jobs += [Job("icarus", grid, bench, environment=interpreted) for grid in grids]
    for grid in _SCRAMBLED_GRIDS:
        jobs += [
            Job("verilator", grid, bench, environment={**_GRID_BENCHES[bench][0], "SRNN_COUNT": "10"}, scramble=True)
            for bench in _SCRAMBLED_BENCHES
        ]
    return jobs


def bench_of(component: str) -> str:
    """The module in `sim_tests.checks` that tests a component alone."""
    return _BENCHES[component]


def longest_first(jobs: Sequence[Job]) -> list[tuple[Job, float]]:
    """The jobs in a good order for a few workers, each with the seconds that it is likely to take.

    One job of every build comes first, since all others of the same build wait for it.
    """
    jobs = sorted(jobs, key=lambda job: job.run_seconds, reverse=True)
    makers = {job.build: job for job in reversed(jobs)}
    made = [(job, job.build_seconds + job.run_seconds) for job in makers.values()]
    others = [(job, job.run_seconds) for job in jobs if makers[job.build] is not job]
    return sorted(made, key=lambda pair: pair[1], reverse=True) + others
