"""Trainers run training jobs: in step with the stream, or beside it in a process of their own.

``python -m autoencoder.adaptation.trainer PARENT`` is that process. Job and result are pickles in anonymous temporary files, which only
these two processes can reach and which vanish with them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from autoencoder.adaptation.retraining import TrainingJob, TrainingResult, retrain
from autoencoder.console import quiet_libraries
from autoencoder.core.errors import AutoencoderError
from autoencoder.core.extras import environment, missing_package
from autoencoder.core.types import Progress

NICENESS = 10  # the stream comes first
MAX_LOG_CHARACTERS = 300  # of the output of a process that failed


class Trainer(Protocol):
    """Runs the jobs of one detector, one at a time."""

    @property
    def is_free(self) -> bool:
        """Whether a job can start now."""

    def submit(self, job: TrainingJob) -> None:
        """Start a job."""

    def poll(self) -> TrainingResult | None:
        """The result of the job, once; None before."""

    def stop(self) -> None:
        """Cancel the job."""


@dataclass(eq=False)
class SyncTrainer:
    """Trains in step with the stream, which waits: the result does not depend on how fast the stream runs."""

    is_free = True

    progress: Progress | None = None  # told how that goes
    _result: TrainingResult | None = field(default=None, init=False)

    def submit(self, job: TrainingJob) -> None:
        """Run a job to its end; where a package is missing that training needs, that is a job that failed."""
        try:
            with quiet_libraries():
                self._result = retrain(job, self.progress)
        except ModuleNotFoundError as error:
            self._result = TrainingResult(f"its training could not start: {missing_package(error) or error}")

    def poll(self) -> TrainingResult | None:
        """The result of the job, once."""
        result, self._result = self._result, None
        return result

    def stop(self) -> None:
        """Drop the result."""
        self._result = None


@dataclass(eq=False)
class ProcessLimit:
    """Limits how many training processes run at a time, over all trainers that share it: those of a panel of detectors."""

    limit: int = 1
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    @property
    def is_reached(self) -> bool:
        """Whether no other process may start now."""
        self._running = [process for process in self._running if process.poll() is None]
        return len(self._running) >= self.limit

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """A process has started."""
        self._running.append(process)


class SubprocessTrainer:
    """Trains in a process with low priority and one thread; holds no process and no file without a job.

    Args:
        limit: shared with other trainers; without one, this trainer has a process of its own.
    """

    def __init__(self, limit: ProcessLimit | None = None) -> None:
        self._limit = limit or ProcessLimit()
        self._process: subprocess.Popen[bytes] | None = None
        self._files = ExitStack()
        self._failure: TrainingResult | None = None

    @property
    def is_free(self) -> bool:
        """Whether there is neither a job of its own nor too many of others."""
        return not self._process and not self._limit.is_reached

    def submit(self, job: TrainingJob) -> None:
        """Start the process; a job in progress is cancelled. A process that cannot start is a job that failed."""
        self.stop()
        try:
            self._start(job)
        except OSError as error:
            self._failure = TrainingResult(f"its training could not start: {error}")

    def _start(self, job: TrainingJob) -> None:
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
        with ExitStack() as files:
            request, self._answer, self._log = (files.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            pickle.dump(job, request)
            request.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autoencoder.adaptation.trainer", str(os.getpid())],
                env=environment(**one_thread, TF_CPP_MIN_LOG_LEVEL="3"),
                stdin=request,
                stdout=self._answer,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is meant for the run, which stops this process itself
            )
            self._files = files.pop_all()
        self._limit.add(self._process)

    def poll(self) -> TrainingResult | None:
        """The result, once the process has ended."""
        if self._process and self._process.poll() is None:
            return None
        result = self._read_result(self._process.returncode) if self._process else self._failure
        self.stop()
        return result

    def _read_result(self, code: int) -> TrainingResult:
        if code:
            self._log.seek(0)
            log = self._log.read().decode(errors="replace").strip()[-MAX_LOG_CHARACTERS:]
            return TrainingResult(f"its training failed with code {code}: {log}")
        self._answer.seek(0)
        result: TrainingResult = pickle.load(self._answer)
        return result

    def stop(self) -> None:
        """End the process and drop its files."""
        if self._process:
            self._process.kill()
            self._process.wait()
        self._process = self._failure = None
        self._files.close()


def main(parent: int) -> None:
    """Run the job on stdin and write its result to stdout; ends early where the process ``parent`` is gone."""

    def require_parent(done: int, total: int, text: str) -> None:
        if os.getppid() != parent:
            sys.exit("the run that asked for this training is gone")

    os.nice(NICENESS)
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # what libraries print goes to the log
        try:
            pickle.dump(retrain(pickle.load(sys.stdin.buffer), require_parent), answer)
        except AutoencoderError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main(int(sys.argv[1]))
