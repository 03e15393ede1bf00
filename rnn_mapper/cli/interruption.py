"""Ctrl-C and SIGTERM: a command ends within two seconds, with one line, and with it all that it has started.

The first signal raises KeyboardInterrupt, so that work in progress is undone. What does not end by itself in time (a
pool of threads that waits for its work, a compiler below make) is ended by a watchdog.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Set
from pathlib import Path
from types import FrameType

from hdl.errors import SpatialRnnError

__all__ = ["Interrupted", "announce_interruption", "interruptible", "unfinished"]

_INTERRUPTED = "interrupted; no output was written"
#: Seconds after a signal in which work may still be undone.
_GRACE = 1.2
#: What counts the semaphores of a pool of processes: it ends by itself with this process, and until then whatever is
#: tidied up needs it and would start it again.
_TRACKERS = ("multiprocessing.resource_tracker", "joblib.externals.loky.backend.resource_tracker")
#: Directories that are deleted if the process ends before its work is done.
_UNFINISHED: set[Path] = set()


class Interrupted(SpatialRnnError):
    """A signal has ended the command."""

    def __init__(self) -> None:
        super().__init__(_INTERRUPTED)


#: Held by whoever has written the line that reports an interruption; never released.
_ANNOUNCED = threading.Lock()


def announce_interruption() -> None:
    """Write the line that reports an interruption, once in the life of a process."""
    if _ANNOUNCED.acquire(blocking=False):
        sys.stderr.write(f"error: {_INTERRUPTED}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def unfinished(directory: Path) -> Iterator[None]:
    """Within the block, an end of the process deletes the directory."""
    _UNFINISHED.add(directory)
    try:
        yield
    finally:
        _UNFINISHED.discard(directory)


@contextlib.contextmanager
def interruptible(status: int = 2) -> Iterator[None]:
    """Within the block, a signal raises KeyboardInterrupt, and no process that was started outlives the block.

    Temporary files of the block are in a directory of their own. The watchdog ends the process with `status`.
    """
    watch = _Watch(status)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    folder = Path(tempfile.mkdtemp(prefix="spatial-rnn-"))
    outer, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        for number in before:
            # Shells start what runs in the background deaf to interruptions.
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, watch.interrupt)
        with unfinished(folder):
            yield
    finally:
        watch.over()
        tempfile.tempdir = outer
        shutil.rmtree(folder, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)


class _Watch:
    """What is to be ended after a signal."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._seen: dict[int, str] = {}
        self._timer: threading.Timer | None = None
        self._threads = set(threading.enumerate())
        self._start = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler of signals."""
        # A compiler is no child of this process any more once make is gone.
        self._seen |= _descendants()
        # Threads that nobody can interrupt must not start the next process.
        subprocess.Popen._execute_child = _refuse  # type: ignore[attr-defined]
        if self._timer is not None:
            self._end()
        self._timer = threading.Timer(_GRACE, self._end)
        self._timer.daemon = True
        self._timer.start()
        raise KeyboardInterrupt

    def over(self) -> None:
        """The work has ended, whether by itself or by a signal."""
        if self._timer is not None:
            self._kill(_trackers())
            if not {thread for thread in threading.enumerate() if not thread.daemon} - self._threads:
                self._timer.cancel()
                subprocess.Popen._execute_child = self._start  # type: ignore[attr-defined]
            # Otherwise the interpreter would wait for threads that go on with their work.

    def _kill(self, spared: Set[int] = frozenset()) -> None:
        for process, started in (self._seen | _descendants()).items():
            if process not in spared and _started(process) == started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)

    def _end(self) -> None:
        self._kill()
        for directory in tuple(_UNFINISHED):
            shutil.rmtree(directory, ignore_errors=True)
        announce_interruption()
        os._exit(self._status)


def _trackers() -> set[int]:
    """The processes of `_TRACKERS` that this process has started."""
    loaded = (sys.modules.get(name) for name in _TRACKERS)
    return {module._resource_tracker._pid for module in loaded if module is not None} - {None}


def _refuse(*arguments: object, **options: object) -> None:
    raise Interrupted


def _descendants() -> dict[int, str]:
    """All processes below this one, each with the time at which it started."""
    parents: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for process, parent in _processes():
            parents.setdefault(parent, []).append(process)
    found: dict[int, str] = {}
    pending = [os.getpid()]
    while pending:
        for process in parents.get(pending.pop(), []):
            found[process] = _started(process)
            pending.append(process)
    return found


def _processes() -> Iterator[tuple[int, int]]:
    """Number and parent's number of every process."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
        yield from ((int(line.split()[0]), int(line.split()[1])) for line in listed.splitlines())
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _fields(int(entry.name))
            if fields:
                yield int(entry.name), int(fields[1])


def _started(process: int) -> str:
    """The time at which a process started; empty where the system does not say, or the process is gone."""
    fields = _fields(process)
    return fields[19] if len(fields) > 19 else ""


def _fields(process: int) -> list[str]:
    """The fields of a process's status after its name, which may hold anything."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
