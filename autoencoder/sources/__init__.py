"""Sources of points: files, pipes, growing files, prices and synthetic streams; they know no model."""

from autoencoder.sources.chunk import Chunk, Event, Source

__all__ = ["Chunk", "Event", "Source"]
