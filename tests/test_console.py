"""The console: progress bars on a terminal only."""

from __future__ import annotations

import io

from autoencoder.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for stream in (plain, terminal):
        console = Console(stream)
        with console.bars():
            bar = console.progress("training")
            bar(3, 10, "loss 0.5")
            console.print("a line [in brackets]")
            bar.finish()
        console.print("the end")
    assert plain.getvalue() == "a line [in brackets]\nthe end\n"
    assert "training" in terminal.getvalue()
    assert "a line [in brackets]" in terminal.getvalue()
    assert terminal.getvalue().endswith("the end\n")
