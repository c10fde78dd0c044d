"""The source between requests and the run loop."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from autoencoder.core.types import Detections
from autoencoder.reports.sinks import Batch
from autoencoder.serve.points import Refusal
from autoencoder.serve.source import RequestSource
from autoencoder.sources.chunk import Chunk


def written(source: RequestSource, chunk: Chunk) -> Batch:
    """What the run loop tells of a chunk."""
    assert chunk.series is not None
    return Batch(Detections.unknown(chunk.time, chunk.values), series=[source.series[place] for place in chunk.series])


def test_requests_that_wait_are_one_chunk_and_are_answered_one_by_one() -> None:
    async def scenario() -> None:
        source = RequestSource(("value",))
        source.loop = asyncio.get_running_loop()
        one = source.submit(["a", "b"], [1, 1], [[1.0], [2.0]])
        other = source.submit(["a"], [2], [[3.0]])
        chunk = next(source.chunks())
        assert chunk.values.tolist() == [[1.0], [2.0], [3.0]]
        assert source.waiting == 3 and source.newest == {}
        source.on_batch(written(source, chunk[:1]))  # the run loop may cut a chunk
        await asyncio.sleep(0)
        assert not one.done()
        source.on_batch(written(source, chunk[1:]))
        assert (await one).values.tolist() == [[1.0], [2.0]]
        assert (await other).values.tolist() == [[3.0]]
        assert source.waiting == 0 and source.newest == source.accepted == {"a": 2, "b": 1}
        under_way = source.submit(["a"], [3], [[4.0]])
        assert len(next(source.chunks())) == 1
        late = source.submit(["a"], [4], [[4.0]])
        source.close()
        for refused in (under_way, late, source.settled()):
            with pytest.raises(Refusal, match="the server is stopping"):
                await refused
        with pytest.raises(Refusal, match="the server is stopping"):
            source.submit(["a"], [5], [[4.0]])

    asyncio.run(scenario())


def test_rescued_rows_come_first_and_settle_when_they_are_written() -> None:
    async def scenario() -> None:
        source, restored = RequestSource(("value",)), RequestSource(("value",))
        source.newest = {"a": 5, "\ud800": 7}
        restored.recall(source.memory(2))
        time = np.array([6, 8], np.int64).view("datetime64[ns]")
        restored.replay((["a", "a"], Detections.unknown(time, np.array([[1.0], [2.0]]))))
        restored.loop = asyncio.get_running_loop()
        assert restored.accepted == {"a": 8, "\ud800": 7}
        settled = asyncio.create_task(restored.settled())
        await asyncio.sleep(0.02)
        assert not settled.done()
        chunk = next(restored.chunks())
        assert chunk.values.tolist() == [[1.0], [2.0]]
        restored.on_batch(written(restored, chunk))
        await asyncio.wait_for(settled, 5)
        assert restored.replaying == 0 and restored.newest == restored.accepted

    asyncio.run(scenario())
