"""Runs the jobs of a search in processes on this machine or on a Dask cluster, and caches the results.

Each finished job is a separate file in the cache, named after everything that determines its result (including the
sources). So an interrupted search continues where it stopped, and a second search with another budget starts with all
jobs done.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hdl.latencies import GridLatencies
from hdl.parameters import GridParameters
from rnn_mapper.errors import ToolError
from rnn_mapper.explore.size import SizeJob, SizeResult, search_size

__all__ = ["cache_folder", "cached", "latencies_of", "run_jobs"]

#: Time limit for a cluster to answer, in seconds.
CLUSTER_TIMEOUT = 10
_ROOT = Path(__file__).parent.parent.parent


@lru_cache(maxsize=1)
def _sources() -> str:
    """A digest of all sources that cycles depend on."""
    digest = hashlib.sha256()
    for folder in ("hdl", "rnn_mapper"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            if path.parent.name != "cli":
                digest.update(path.relative_to(_ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """The folder of the results: in $SPATIAL_RNN_CACHE, else in the user's cache."""
    base = os.environ.get("SPATIAL_RNN_CACHE") or Path.home() / ".cache" / "spatial-rnn"
    return Path(base) / "explore" / _sources()


def _file(job: SizeJob) -> Path:
    return cache_folder() / f"{hashlib.sha256(repr(job).encode()).hexdigest()[:32]}.json"


def cached(job: SizeJob) -> SizeResult | None:
    """The result of a job, if the cache has it complete."""
    try:
        return SizeResult.from_json(json.loads(_file(job).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(job: SizeJob, result: SizeResult) -> None:
    _replace(_file(job), json.dumps(result.to_json()))


def _replace(path: Path, text: str) -> None:
    # A cache that cannot be written costs time, not the result.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def latencies_of(
    rows: Sequence[int], lanes: Sequence[int], memory_registers: int = 0
) -> dict[tuple[int, int], GridLatencies]:
    """Latencies of grids of all these sizes.

    The latency of a token grows only with the rows, the latency of a product only with the lanes. So one grid for each
    number of rows and one for each number of lanes are enough.
    """
    base = GridParameters().rows, GridParameters().lanes
    path = cache_folder() / f"latencies_{memory_registers}.json"
    try:
        known = {key: dict(values) for key, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        known = {}
    wanted = {(row, base[1]) for row in rows} | {(base[0], lane) for lane in lanes} | {base}
    missing = [size for size in sorted(wanted) if "{}x{}".format(*size) not in known]
    for row, lane in missing:
        # The vector memory must hold a group of values, whatever the sizes.
        p = GridParameters(rows=row, cols=1, lanes=lane, vector_depth=64, memory_registers=memory_registers)
        known[f"{row}x{lane}"] = GridLatencies.of(p).to_dict()
    if missing:
        _replace(path, json.dumps(known))
    start = known["{}x{}".format(*base)]
    return {
        (row, lane): GridLatencies(**{
            name: known[f"{row}x{base[1]}"][name] + known[f"{base[0]}x{lane}"][name] - start[name] for name in start
        })
        for row in rows for lane in lanes
    }


def run_jobs(jobs: Sequence[SizeJob], processes: int, cluster: str | None) -> Iterator[tuple[SizeJob, SizeResult]]:
    """Results of all jobs, in the order in which the jobs finish; each result is cached. Uses `processes` processes on
    this machine, or all workers of the cluster at the address `cluster`. Raises `ToolError` when the cluster cannot be
    reached."""
    from joblib import Parallel, delayed

    if cluster is None and (processes == 1 or len(jobs) == 1):
        results: Any = map(_numbered, range(len(jobs)), jobs)
        yield from _kept(jobs, results)
        return
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"n_jobs": processes, "backend": "loky"}
        if cluster is not None:
            options = stack.enter_context(_cluster(cluster))
        # The largest first, so that no worker ends long after the others.
        order = sorted(range(len(jobs)), key=lambda place: (jobs[place].rows * jobs[place].lanes))
        parallel = Parallel(**options, return_as="generator_unordered", batch_size=1)
        yield from _kept(jobs, parallel(delayed(_numbered)(place, jobs[place]) for place in order))


def _kept(jobs: Sequence[SizeJob], results: Iterator[tuple[int, SizeResult]]) -> Iterator[tuple[SizeJob, SizeResult]]:
    for place, result in results:
        _keep(jobs[place], result)
        yield jobs[place], result


def _numbered(place: int, job: SizeJob) -> tuple[int, SizeResult]:
    return place, search_size(job)


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[dict[str, Any]]:
    """Options of `joblib.Parallel` for a Dask cluster."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ToolError("a cluster needs dask.distributed: pip install 'spatial-rnn[cluster]'") from error
    from joblib import parallel_config

    try:
        client = Client(address, timeout=CLUSTER_TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise ToolError(
            f"cluster {address}: not reached within {CLUSTER_TIMEOUT} s ({reason}); name the address that the "
            "scheduler printed, such as tcp://10.0.0.1:8786"
        ) from error
    try:
        workers = sum(client.nthreads().values())
        if not workers:
            raise ToolError(f"cluster {address}: has no workers; start one with 'dask worker {address}'")
        with parallel_config(backend="dask", client=client, wait_for_workers_timeout=CLUSTER_TIMEOUT):
            yield {"n_jobs": workers}
    finally:
        client.close()
