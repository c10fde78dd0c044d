"""The errors a user can cause or meet; each message says where, what was found and what to do.

AutoencoderError
├── UsageError                what was asked for cannot be done
│   ├── ConfigError           a setting, in config.yaml or on the command line: unknown, of the wrong type or out of range
│   ├── InputError            what is to be read: a path, a column, a file's content, points
│   ├── OutputError           the folder that is to be written
│   ├── ResumeError           the run to go on with: there is none, it is done, or its source or its settings have changed
│   └── MissingPackageError   a package that the use at hand needs is not installed; also an ImportError
├── ModelFileError            a saved model or state: missing, damaged or of another make than the run asks for
├── NotFittedError            a model that is used before it is trained or loaded
├── TrainingError             the training part: too short, constant, or too full of gaps
├── SourceError               a source that failed: the network is down, a stream broke off
└── RunError                  a run that cannot go on, or cannot write its folder
"""

from __future__ import annotations

__all__ = ["AutoencoderError", "ConfigError", "InputError", "MissingPackageError", "ModelFileError", "NotFittedError"]
__all__ += ["OutputError", "ResumeError", "RunError", "SourceError", "TrainingError", "UsageError"]


class AutoencoderError(Exception):
    """Base of all; ``exit_code`` is what the program ends with: 2 where the user can mend it by asking for something else."""

    exit_code = 1


class UsageError(AutoencoderError):
    """What was asked for cannot be done."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is wrong."""


class InputError(UsageError):
    """What the user gave cannot be read."""


class OutputError(UsageError):
    """The folder that was asked for cannot be written."""


class ResumeError(UsageError):
    """There is no such run to go on with."""


class MissingPackageError(UsageError, ImportError):
    """A package is not installed."""


class ModelFileError(AutoencoderError):
    """A saved model or state cannot be used."""

    exit_code = 2


class NotFittedError(AutoencoderError):
    """A model is not trained or loaded yet."""

    exit_code = 2


class TrainingError(AutoencoderError):
    """The training part cannot train the detector."""

    exit_code = 2


class SourceError(AutoencoderError):
    """A source failed."""


class RunError(AutoencoderError):
    """The run cannot go on."""


def format_error(error: Exception) -> str:
    """What a person is told of an error, in one line: its own words, where it is one of those that have some."""
    text = f"the program has a fault ({error!r}); please report it, --verbose shows where"
    if isinstance(error, AutoencoderError):
        text = str(error)
    return " ".join(text.splitlines())
