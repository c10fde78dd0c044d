"""The outbox: a bounded queue on disk that loses nothing, whatever ends the process."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoencoder.alerts.outbox import Outbox
from autoencoder.core.errors import ModelFileError, RunError

STEPS = ["put", "delivered", "refused", "reopen", "kill", "flush"]


def queued(outbox: Outbox) -> list[str]:
    """What waits, in order; the outbox is emptied for that."""
    found = []
    while heads := outbox.heads("c"):
        (head,) = heads
        found.append(head[0])
        outbox.settle("c", head[0], "delivered")
    return found


def after_a_kill(path: Path, folder: Path) -> Path:
    """The files as a process that is killed now leaves them."""
    folder.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), folder / name)
    return folder / path.name


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 12)), max_size=40))
def test_only_the_oldest_is_lost_when_it_is_full(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    folder, number = tmp_path_factory.mktemp("outbox"), itertools.count()
    path, capacity = folder / "alerts.sqlite", 4
    outbox = Outbox(path, capacity)
    run, waiting, seen, counts = outbox.run, list[str](), set[str](), {"delivered": 0, "refused": 0, "dropped": 0}
    for step, place in steps:
        key = f"key {place}"
        if step == "put":
            is_new = key not in seen
            seen.add(key)
            waiting += [key] if is_new else []
            assert outbox.put("c", key, {"number": place}) == (len(waiting) <= capacity)
            outbox.put("dead", key, {})
            if len(waiting) > capacity:
                waiting.pop(0)
                counts["dropped"] += 1
        elif step in counts and waiting:
            (head,) = outbox.heads("c")
            assert head[0] == waiting.pop(0) and head[1] == {"number": int(head[0][4:])}
            outbox.settle("c", head[0], step)
            counts[step] += 1
        elif step in ("reopen", "kill"):
            killed = after_a_kill(path, folder / str(next(number)))
            outbox.close()
            assert [each.name for each in path.parent.glob("alerts*")] == ["alerts.sqlite"]
            path = killed if step == "kill" else path
            outbox = Outbox(path, capacity)
        elif step == "flush":
            outbox.flush()
        assert outbox.counts()["c"] == {**counts, "waiting": len(waiting)}
        assert outbox.counts()["dead"]["waiting"] == min(len(seen), capacity)  # whose receiver takes nothing
        assert outbox.run == run
    assert queued(outbox) == waiting
    outbox.close()


def test_dropped_alerts_take_no_room_and_a_queue_may_shrink(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    outbox = Outbox(path, 10)
    for number in range(1000):
        outbox.put("c", str(number), {"text": "x" * 1000})
    outbox.close()
    assert path.stat().st_size < 100_000
    smaller = Outbox(path, 2)
    assert smaller.counts()["c"]["dropped"] == 998
    assert queued(smaller) == ["998", "999"]


@pytest.mark.parametrize("content", [b"[]", b"\x00\x01" * 5000, b"SQLite format 3\x00" + bytes(4080)])
def test_a_file_that_is_no_outbox_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.sqlite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"alerts\.sqlite is damaged.*move it away"):
        Outbox(path, 5)
    assert path.read_bytes() == content


def test_triggers_links_and_foreign_journals_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "alerts.sqlite"
    path.with_name("alerts.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1000))  # is not played back
    outbox = Outbox(path, 5)
    assert outbox.put("c", "a", {})
    outbox.close()
    assert [each.name for each in tmp_path.iterdir()] == ["alerts.sqlite"]
    with sqlite3.connect(path) as database:  # a trigger would run with every alert
        database.execute("CREATE TRIGGER t AFTER INSERT ON alert BEGIN DELETE FROM alert; END")
    database.close()
    with pytest.raises(ModelFileError, match="is damaged"):
        Outbox(path, 5)
    (tmp_path / "other.sqlite").symlink_to(path)
    with pytest.raises(ModelFileError, match="a link"):
        Outbox(tmp_path / "other.sqlite", 5)
    with pytest.raises(RunError, match=r"alerts\.sqlite cannot be written \(.+\); free space"):
        Outbox(tmp_path / "nowhere" / "alerts.sqlite", 5)
