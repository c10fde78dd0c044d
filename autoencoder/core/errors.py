"""The errors a user can cause or meet; each message says where, what was found and what to do."""

from __future__ import annotations


class AutoencoderError(Exception):
    """Base of the package's own errors; ``exit_code`` is what the program ends with."""

    exit_code = 1


class ConfigError(AutoencoderError):
    """A setting, in config.yaml or on the command line, is unknown, of the wrong type or out of range."""

    exit_code = 2


class TrainingError(AutoencoderError):
    """The training part cannot train the detector: too short, constant, or too full of gaps."""

    exit_code = 2


class ModelError(AutoencoderError):
    """A saved model is missing, damaged or of another make than the run asks for."""

    exit_code = 2


class RunError(AutoencoderError):
    """The run folder cannot be written or the run cannot go on."""

    exit_code = 1


def sentence_of(error: Exception) -> str:
    """What a person is told of an error, in one line: its own words, where it is one of those that have some."""
    known = getattr(error, "exit_code", None)
    sentence = str(error) if known else f"the program has a fault ({error!r}); please report it, --verbose shows where"
    return " ".join(sentence.splitlines())
