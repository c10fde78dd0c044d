"""The errors a user can cause or meet; each message says where, what was found and what to do.

AutoencoderError
├── UsageError            what was asked for cannot be done
│   ├── ConfigError       a setting
│   ├── InputError        a path, a column, a file's content
│   ├── OutputError       the run folder
│   └── ResumeError       the run that is to be resumed
├── ModelError            a saved model or state
├── NotFittedError        a model that is not there yet
├── TrainingError         the training part
├── SourceError           a source that failed
└── RunError              a run that cannot go on
"""

from __future__ import annotations


class AutoencoderError(Exception):
    """Base of all; ``exit_code`` is what the program ends with: 2 where the user can mend it by asking for something else."""

    exit_code = 1


class UsageError(AutoencoderError):
    """What was asked for cannot be done."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting, in config.yaml or on the command line, is unknown, of the wrong type or out of range."""


class InputError(UsageError):
    """What the user gave (a path, a column, a file's content, points) cannot be used."""


class OutputError(UsageError):
    """The run folder that was asked for cannot be used."""


class ResumeError(UsageError):
    """There is no such run to resume, or its source or its settings have changed."""


class ModelError(AutoencoderError):
    """A saved model or state is missing, damaged or of another make than the run asks for."""

    exit_code = 2


class NotFittedError(AutoencoderError):
    """A model is used that is not trained or loaded yet."""

    exit_code = 2


class TrainingError(AutoencoderError):
    """The training part cannot train the detector: too short, constant, or too full of gaps."""

    exit_code = 2


class SourceError(AutoencoderError):
    """A source failed: the network is down, a stream broke off."""


class RunError(AutoencoderError):
    """The run folder cannot be written or the run cannot go on."""


def sentence_of(error: Exception) -> str:
    """What a person is told of an error, in one line: its own words, where it is one of those that have some."""
    sentence = f"the program has a fault ({error!r}); please report it, --verbose shows where"
    if isinstance(error, AutoencoderError):
        sentence = str(error)
    return " ".join(sentence.splitlines())
