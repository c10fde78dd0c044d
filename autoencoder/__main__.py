"""Start of the program: ``python main.py`` in a clone, ``python -m autoencoder`` and the command ``autoencoder`` where it is installed."""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import os  # noqa: E402 - the clock starts before anything is imported
import sys  # noqa: E402

# the matrices here are small: shared out over threads they take ten times as long. Read when numpy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

OLDEST = (3, 11)
ENDLESS = {"--follow", "stdin", "--source=stdin", "serve"}  # arguments of a run that ends when it is told to


def main() -> int:
    """Run the program with the arguments of this process; returns its exit code."""
    if sys.version_info < OLDEST:  # in a clone any interpreter can come this far
        version = ".".join(map(str, sys.version_info[:3]))
        sys.stderr.write(
            f"error: {sys.executable} is Python {version}, and 3.11 or newer is needed; "
            "type: make run, or .venv/bin/python main.py ...\n"
        )
        return 2
    from autoencoder.interrupts import SignalGuard, Terminated, ignore_signals

    try:
        with SignalGuard():  # imports take a moment, in which a run may be told to stop
            from autoencoder.cli import main as run

            code = run(began=BEGAN)
    except KeyboardInterrupt as interrupt:
        code = 0 if isinstance(interrupt, Terminated) and ENDLESS & set(sys.argv) else 130
    ignore_signals()  # all is done and said; taking the interpreter down takes a moment
    return code


if __name__ == "__main__":
    raise SystemExit(main())
