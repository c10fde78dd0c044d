"""The command ``feedback``: says of an incident of a run whether it was one, so that what is like a false alarm does not ring again."""

from __future__ import annotations

import argparse
from pathlib import Path

from autoencoder.console import Console
from autoencoder.feedback.store import add_feedback

DESCRIPTION = "Says of an incident of a run whether it was an anomaly."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``feedback``."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --out folder of a run, which may go on")
    parser.add_argument("--incident", type=int, required=True, metavar="ID", help="its id in incidents.jsonl")
    parser.add_argument("--label", choices=("true", "false"), required=True, help="true: an anomaly; false: a false alarm")
    parser.add_argument("--for", dest="duration", metavar="90d", help="how long behind the incident that holds (default: always)")
    parser.add_argument("--note", default="", metavar="TEXT", help="for people")


def main(arguments: argparse.Namespace, console: Console) -> int:
    """Append to feedback.jsonl what was said; returns the exit code. Raises as ``add_feedback``."""
    folder, number, label = arguments.folder, arguments.incident, arguments.label == "true"
    add_feedback(folder, number, label=label, duration=arguments.duration, note=arguments.note)
    what = "is an anomaly, and is never learnt as normal" if label else "was a false alarm; what is like it does not ring"
    until = f" for {arguments.duration}" if arguments.duration else ""
    console.print(f"{folder}: incident {number} {what}{until}")
    return 0
