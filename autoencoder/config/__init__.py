"""Configuration: the settings of config.yaml as typed models, and the loader that lays files and flags over one another."""

from autoencoder.config.load import difference, dump, keys, leaves, load, project_file, validate
from autoencoder.config.schema import Config

__all__ = ["Config", "difference", "dump", "keys", "leaves", "load", "project_file", "validate"]
