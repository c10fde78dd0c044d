"""The command ``feedback``: says of an incident of a run whether it was one, so that what is like a false alarm does not ring again."""

from __future__ import annotations

import argparse
from pathlib import Path

from autoencoder.console import Console
from autoencoder.core.errors import ConfigError
from autoencoder.feedback.store import add_feedback

LABELS = {"true": True, "false": False}


def parser(
    program: str = "python main.py", kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """The command line of ``feedback``, as a parser of that kind."""
    made = kind(prog=f"{program} feedback", description="Says of an incident of a run whether it was an anomaly.")
    made.add_argument("command", choices=("feedback",), help=argparse.SUPPRESS)
    made.add_argument("folder", type=Path, metavar="DIR", help="the --out folder of a run, which may go on")
    made.add_argument("--incident", type=int, required=True, metavar="ID", help="its id in incidents.jsonl")
    made.add_argument("--label", choices=tuple(LABELS), required=True, help="true: an anomaly; false: a false alarm")
    made.add_argument("--for", dest="duration", metavar="90d", help="how long behind the incident that holds (default: always)")
    made.add_argument("--note", default="", metavar="TEXT", help="for people")
    made.add_argument("--verbose", action="store_true", help="show tracebacks")
    return made


def feedback(arguments: argparse.Namespace, console: Console) -> int:
    """Append to feedback.jsonl what was said; returns the exit code. Raises as ``add_feedback``."""
    if not hasattr(arguments, "incident"):  # the command came after flags, which are those of another command then
        raise ConfigError("feedback must come first: python main.py feedback DIR --incident ID --label false")
    folder, number, label = arguments.folder, arguments.incident, LABELS[arguments.label]
    add_feedback(folder, number, label=label, duration=arguments.duration, note=arguments.note)
    what = "is an anomaly, and is never learnt as normal" if label else "was a false alarm; what is like it does not ring"
    until = f" for {arguments.duration}" if arguments.duration else ""
    console.print(f"{folder}: incident {number} {what}{until}")
    return 0
