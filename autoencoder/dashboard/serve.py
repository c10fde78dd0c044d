"""Serve: the process of the page's server; it ends with the process that started it, however that one ends."""

from __future__ import annotations

import os
import signal
import sys
import threading

from streamlit.web import cli


def main() -> None:
    """Do what ``streamlit run`` does with the same arguments."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cli.main(["run", *sys.argv[1:]], prog_name="streamlit")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()  # returns when the pipe from there is closed, be it by a kill
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
