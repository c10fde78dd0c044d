"""Sources of points: files, pipes, growing files, prices and synthetic streams; they know no model."""

from autoencoder.sources.chunk import Chunk, DataError, Event, InputError, Source

__all__ = ["Chunk", "DataError", "Event", "InputError", "Source"]
