"""Launch: what a person chose -> ``main.py`` with these settings in a process of its own; one run at a time."""

from __future__ import annotations

import atexit
import json
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from autoencoder.arguments import FLAGS as TYPED
from autoencoder.config import load
from autoencoder.core.errors import ConfigError
from autoencoder.core.extras import PROGRAM, environment
from autoencoder.dashboard.follow import Follower
from autoencoder.reports.run_folder import default_folder

# setting -> the flag for it
FLAGS = {flag.setting: f"--{name.replace('_', '-')}" for name, flag in TYPED.items()} | {"csv.columns": "--column"}
BUDGET = "threshold.budget"
SUFFIXES = (".csv", ".gz", ".json", ".jsonl", ".parquet", ".tsv", ".txt")
STOP_SECONDS = 30.0  # for a run to stop: a download or the import of TensorFlow cannot be cut off
EXIT_SECONDS = 5.0  # where the whole dashboard ends
MAX_LOG_CHARACTERS = 1 << 16


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be run."""

    settings: Mapping[str, Any]  # dotted key of the configuration -> value; the budget as it was typed
    upload: tuple[str, bytes] | None = None  # name and content of the file that is read, where one was uploaded

    def arguments(self) -> list[str]:
        """Of main.py; settings that are the defaults anyway are left out."""
        defaults, typed = load(None), []
        for key, value in self.settings.items():
            if key == "source" or str(value) != str(reduce(getattr, key.split("."), defaults)):
                for each in value if isinstance(value, list) and key in FLAGS else [value]:
                    text = each if isinstance(each, str) else json.dumps(each)
                    pair = [FLAGS[key], text] if key in FLAGS else ["--set", f"{key}={text}"]
                    typed += ["=".join(pair)] if text.startswith("-") and key in FLAGS else pair
        return typed

    def check(self) -> None:
        """Raise ConfigError where a setting is wrong."""
        load(None, {key: value for key, value in self.settings.items() if key != BUDGET}, [f"{BUDGET}={self.settings[BUDGET]}"])

    def command_line(self) -> str:
        """The same run in a terminal."""
        settings = {**self.settings, **({"csv.path": self.upload[0]} if self.upload else {})}
        return shlex.join(["python", "main.py", *replace(self, settings=settings).arguments()])


class Run:
    """A choice under way: ``main.py`` in a process of its own; ConfigError where that cannot be started."""

    def __init__(self, choice: Choice) -> None:
        self._was_stopped = False
        self._files = tempfile.TemporaryDirectory(prefix="autoencoder-")  # for this user alone; goes with this object
        settings = dict(choice.settings)
        self.name: str = settings.get("yfinance.ticker") or Path(settings.get("csv.path", settings["source"])).name
        self._upload: Path | None = None
        if choice.upload:
            self.name, content = choice.upload
            suffix = Path(self.name).suffix.lower()  # nothing else of the name reaches a path
            self._upload = Path(self._files.name, f"upload{suffix if suffix in SUFFIXES else '.csv'}")
            self._upload.write_bytes(content)
            settings["csv.path"] = str(self._upload)
        self.folder = default_folder(settings["source"])
        arguments = [*replace(choice, settings=settings).arguments(), "--plot=none", f"--out={self.folder}"]
        self._log = Path(self._files.name, "log")
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environment()}
        options["start_new_session"] = True  # Ctrl-C in the terminal of the dashboard reaches it by ``stop`` alone
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen([*PROGRAM, *arguments], stderr=log, **options)
        except (OSError, ValueError) as error:
            raise ConfigError(f"the run cannot be started ({error}); change what was typed") from None

    @property
    def is_alive(self) -> bool:
        """Whether the process goes on."""
        return self._process.poll() is None

    @property
    def said(self) -> list[str]:
        """The lines that the run wrote; an upload goes by the name that its owner gave it."""
        with self._log.open(encoding="utf-8", errors="replace") as log:
            text = log.read(MAX_LOG_CHARACTERS)
        for path in (str(self._upload), self._upload.name) if self._upload else ():
            text = text.replace(path, self.name)
        return text.splitlines()

    @property
    def fault(self) -> str | None:
        """Why the process failed, if it did."""
        code = self._process.poll()
        if not code or code == 130 or self._was_stopped:
            return None
        return [f"the process of the run has ended (exit code {code}); start it again", *self.said][-1].removeprefix("error: ")

    def stop(self, seconds: float = 0.0) -> None:
        """End the run as Ctrl-C does, and wait for that so long at most."""
        self._was_stopped = self._was_stopped or self.is_alive
        self._process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


class Launcher:
    """Holds the one run that all pages of this process look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.follower: Follower | None = None
        atexit.register(self.stop, EXIT_SECONDS)

    def begin(self, choice: Choice | Path) -> None:
        """Stop the run under way, and run a choice or follow a run folder; ConfigError where a setting is wrong."""
        with self._lock:
            if isinstance(choice, Choice):
                choice.check()  # a wrong one ends no run
            if not self.stop(STOP_SECONDS):
                raise ConfigError("the run before this one has not stopped yet; try again in a moment")
            self.follower = Follower(Run(choice) if isinstance(choice, Choice) else choice)

    def stop(self, seconds: float) -> bool:
        """Stop the run under way; returns whether none goes on any more."""
        run = self.follower.run if self.follower else None
        if run and run.is_alive:
            run.stop(seconds)
        return not (run and run.is_alive)


LAUNCHER = Launcher()
