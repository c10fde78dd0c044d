"""Extras: packages that only some uses need, what a user types where one is missing, and how a new process finds this one."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from autoencoder.core.errors import MissingPackageError

# module -> the extra of pyproject.toml that brings it; what is not here comes with the package
EXTRAS = {
    **dict.fromkeys(("tensorflow", "keras", "onnx"), "train"),
    **{
        "matplotlib": "plot",
        "yfinance": "yfinance",
        "exchange_calendars": "yfinance",
        "pandas": "pandas",
        "pyspark": "spark",
        "prometheus_client": "serve",
        "fastapi": "serve",
        "uvicorn": "serve",
    },
    **dict.fromkeys(("dateutil", "holidays"), "calendar"),
    **{"stumpy": "baselines", "streamlit": "dashboard", "torch": "rivals"},
}
ASIDE = ("baselines", "dashboard", "rivals", "spark")  # extras that make run leaves out

PROGRAM = (sys.executable, "-P", "-m", "autoencoder")  # starts this program in a process whose environment is ``environment()``


def environment(**changes: str) -> dict[str, str]:
    """The environment of a process that finds this package, in a clone and where it is installed."""
    home = str(Path(__file__).resolve().parents[2])
    return {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}


def require(*modules: str, purpose: str, otherwise: str = "") -> None:
    """See that modules can be imported, before anything is begun that would fail without them.

    ``purpose`` says in the message what needs them, ``otherwise`` what else can be done.

    Raises:
        MissingPackageError: one is not installed.
    """
    for module in modules:
        if sys.modules.get(module) is None and find_spec(module) is None:
            raise MissingPackageError(f"{purpose} needs {module}, which {_remedy(module)}{otherwise}")


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """What a failed import means to a user; None where the module is one of this package, which is a fault."""
    module = (error.name or "").partition(".")[0]
    return MissingPackageError(f"{module} {_remedy(module)}") if module not in ("", "autoencoder") else None


def _remedy(module: str) -> str:
    is_clone, extra = (Path(__file__).parents[2] / "Makefile").is_file(), EXTRAS.get(module, "")
    remedy = f"pip install '{'.' if is_clone else 'autoencoder'}{f'[{extra}]' if extra else ''}'"
    if is_clone and extra not in ASIDE:
        remedy = "make run, or .venv/bin/python main.py ..."
    return f"is not installed for {sys.executable}; type: {remedy}"
