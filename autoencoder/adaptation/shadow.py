"""Shadow training: a candidate is trained and tried beside the stream, in a process of its own or in step with the stream.

``python -m autoencoder.adaptation.shadow FOLDER PARENT`` is that process. A job and its result pass through files in a folder that nobody
else sees; they are plain arrays and text, as a checkpoint is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from autoencoder.adaptation.job import Job, Make, Result, freeze, freeze_result, perform, thaw, thaw_result
from autoencoder.core.errors import AutoencoderError, ModelError
from autoencoder.core.state import pack, unpack

JOB, RESULT, CONFIG, LOG = "job.npz", "result.npz", "config.yaml", "log.txt"
NICE = 10  # the stream comes first
LONGEST_LOG = 300  # characters of what a process that failed said


class Shadow(Protocol):
    """Where candidates are trained, one at a time."""

    def begin(self, job: Job) -> None:
        """Start on a job; one that is under way is stopped."""
        ...

    def poll(self) -> Result | None:
        """The result of the job, once; None while it is not there."""
        ...

    def stop(self) -> None:
        """Let go of the job."""
        ...


class InStep:
    """Trains in step with the stream, which waits: what comes of a stream does not depend on how fast it runs."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._job: Job | None = None

    def begin(self, job: Job) -> None:
        """Remember the job."""
        self._job = job

    def poll(self) -> Result | None:
        """Do the job now."""
        job, self._job = self._job, None
        return perform(job, self._make) if job else None

    def stop(self) -> None:
        """Forget the job."""
        self._job = None


class Beside:
    """Trains in a process of its own, with a low priority and one thread.

    Args:
        config: text of the configuration, from which that process makes its scorers.
    """

    def __init__(self, config: str) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, job: Job) -> None:
        """Start the process."""
        self.stop()
        self._folder = tempfile.TemporaryDirectory(prefix="autoencoder-")
        folder = Path(self._folder.name)
        (folder / CONFIG).write_text(self._config, encoding="utf-8")
        (folder / JOB).write_bytes(pack(freeze(job)))
        one = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
        paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "autoencoder.adaptation.shadow", str(folder), str(os.getpid())],
                env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is meant for the run, which stops this process itself
            )

    def poll(self) -> Result | None:
        """The result, once the process is done."""
        if not self._process or not self._folder or self._process.poll() is None:
            return None
        folder = Path(self._folder.name)
        try:
            if self._process.returncode:
                said = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip()[-LONGEST_LOG:]
                return Result(f"its training failed with code {self._process.returncode}: {said}")
            return thaw_result(unpack((folder / RESULT).read_bytes(), RESULT))
        except (OSError, ModelError) as error:
            return Result(f"its result cannot be read: {error}")
        finally:
            self.stop()

    def stop(self) -> None:
        """End the process and take its folder away."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._folder:
            self._folder.cleanup()
        self._process = self._folder = None


def main(folder: Path, parent: int) -> int:
    """Do the job in a folder for the process ``parent``; returns the exit code. Where that is gone, the folder goes, too."""
    try:
        return _serve(folder, parent)
    finally:
        if os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


def _serve(folder: Path, parent: int) -> int:
    from autoencoder.assembly import make_kind
    from autoencoder.config import load

    os.nice(NICE)

    def look_up(done: int, total: int, text: str) -> None:
        if os.getppid() != parent:
            raise SystemExit("the run that asked for this is gone")

    try:
        config = load(folder / CONFIG)
        job = thaw(unpack((folder / JOB).read_bytes(), JOB))
        result = perform(job, lambda kind: make_kind(config, kind), look_up)
    except AutoencoderError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    draft = folder / f"{RESULT}.part"
    draft.write_bytes(pack(freeze_result(result)))
    draft.replace(folder / RESULT)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
