"""The examples of docs/serve.md: each command works, and shows what the page says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from helpers.cli import ROOT

from serve.conftest import Served

PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```\n(?:\n```json\n(.*?)^```)?", PAGE, re.MULTILINE | re.DOTALL)
HANGS_UP = 28  # curl's code where -m ends a stream


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples use curl")
def test_the_examples_work(served: Served) -> None:
    shown = 0
    for text, answer in BLOCKS:
        for command in re.findall(r"^curl .*?(?=^curl|\Z)", text, re.MULTILINE | re.DOTALL):
            command = command.replace(":8000", f":{served.port}")
            found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
            assert found.returncode == (HANGS_UP if " -N " in command else 0), command
            assert found.stdout, command
            if answer:
                assert json.loads(found.stdout) == json.loads(answer)
                shown += 1
            elif "/metrics" not in command and "/events" not in command:
                assert "detail" not in json.loads(found.stdout), found.stdout
    assert shown == 2
