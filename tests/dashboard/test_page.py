"""The dashboard in a real browser: what a person sees, moves, clicks, uploads and downloads."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from helpers.cli import PATIENCE, Outcome, finish, incidents, metrics, start, wait_until, wave, write_csv

from autoencoder.reports.odometer import Known

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium")]
pytest.importorskip("streamlit")
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=1000 * PATIENCE)


class Dashboard:
    """The command ``dashboard`` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = start("dashboard", folder=folder)
        self.address = re.search(r"http://127\.0\.0\.1:\d+", self.process.stderr.readline())[0]

    def close(self) -> Outcome:
        self.process.send_signal(signal.SIGINT)
        return finish(self.process)

    def newest_run(self) -> Path:
        return max((self.folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with closing(Dashboard(tmp_path_factory.mktemp("dashboard"))) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as it,
    ):
        yield it


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280, scheme: Any = "light") -> Iterator[Page]:
    """The page in a window of that width, with nothing remembered; nothing but its own server may be asked for anything."""
    with browser.new_context(viewport={"width": width, "height": 1400}, color_scheme=scheme, locale="en-US") as context:
        context.set_default_timeout(1000 * PATIENCE)
        page, asked, faults = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda fault: faults.append(fault))
        page.goto(address)
        at_rest(page)
        yield page
        assert (faults, [url for url in asked if not url.startswith((address, "data:", "blob:"))]) == ([], [])


@pytest.fixture
def page(browser: Browser, dashboard: Dashboard) -> Iterator[Page]:
    """The page, set to a detector that is trained in a moment, at full speed."""
    with opened(browser, dashboard.address) as page:
        choose(page, "detector", "Windowed gaussian")
        slide(page, "pace", "End")
        yield page


def at_rest(page: Page) -> None:
    """Wait until the page has taken in what was done to it."""
    page.locator(".st-key-source").wait_for(state="attached")
    page.wait_for_timeout(150)  # a field tells the server a moment after it was changed
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def choose(page: Page, field: str, option: str) -> None:
    box = page.locator(f".st-key-{field}").get_by_role("combobox")
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # a list closes when what is behind it moves
    box.click()
    page.get_by_role("option").filter(has_text=re.compile(rf"^\s*{option}\s*$")).click()
    at_rest(page)


def write(page: Page, field: str, text: str) -> None:
    box = page.locator(f".st-key-{field} input")
    box.fill(text)
    box.press("Enter")
    at_rest(page)


def slide(page: Page, field: str, key: str, times: int = 1) -> None:
    handle = page.locator(f".st-key-{field}").get_by_role("slider")
    for _ in range(times):
        handle.press(key)
    at_rest(page)


def begin(page: Page) -> None:
    page.get_by_role("button", name="Start monitoring").click()
    at_rest(page)


def upload(page: Page, file: Path) -> None:
    page.locator(".st-key-upload input[type=file]").set_input_files(file)
    page.locator(".st-key-upload").get_by_text(file.name).wait_for()
    page.wait_for_timeout(500)  # until it is at the server
    at_rest(page)


def badge(page: Page, word: str) -> Locator:
    """Wait until the headline says how the run stands; returns the headline."""
    headline = page.locator("h3").filter(has=page.locator(".stMarkdownBadge"))
    expect(headline.locator(".stMarkdownBadge")).to_have_text(word)
    return headline


def chart(page: Page) -> dict[str, float]:
    """What the chart shows, by its own account."""
    return {key: float(value) for key, value in page.locator(".chart").evaluate("chart => ({...chart.dataset})").items()}


def downloaded(page: Page, name: str) -> bytes:
    at_rest(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    return Path(waiting.value.path()).read_bytes()


def test_a_run_is_watched_and_downloaded(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    slide(page, "points", "ArrowRight", 4)  # 10,000
    slide(page, "noise", "ArrowRight", 2)
    slide(page, "pace", "ArrowLeft", 2)  # 2,000 points a second
    page.locator(".st-key-kinds").get_by_role("button", name="flat").click()
    at_rest(page)
    begin(page)
    badge(page, "Running")
    page.locator("canvas.below").evaluate("canvas => { canvas.isTheOldOne = true; }")
    expect(page.locator(".legend")).to_contain_text("flagged")  # while the run goes on
    badge(page, "Done")
    wait_until(lambda: chart(page)["points"] == 10_000)
    assert page.locator("canvas.below").evaluate("canvas => canvas.isTheOldOne")  # the same one: nothing was laid out anew
    report = metrics(dashboard.newest_run())
    assert chart(page)["flagged"] == chart(page)["dots"] == report["counts"]["flagged"] > 0
    counters, known = page.locator(".st-key-counters"), Known.of(report["quality"])
    assert known
    for text in ("10,000", str(report["counts"]["incidents"]), str(report["counts"]["flagged"])):
        expect(counters.get_by_text(text, exact=True).first).to_be_visible()
    headline = page.locator("strong").filter(has_text=f"{known.found_text} known anomalies found")
    expect(headline).to_contain_text(f", {known.false_alarms} false")
    expect(page.get_by_text("The worst first.")).to_be_visible()

    page.get_by_text("as a command line").click()
    code = page.get_by_test_id("stExpander").filter(has_text="as a command line").locator("code")
    expect(code).to_contain_text("python main.py")
    _, _, *arguments = shlex.split(code.inner_text().replace("\n", " "))
    assert {"synthetic.points=10000", "synthetic.noise=0.7", "synthetic.anomalies.flat=false"} <= set(arguments)
    assert finish(start(*arguments, "--plot", "none", "--out", "there", folder=tmp_path)).code == 0
    for name in ("scores.csv", "incidents.jsonl", "anomalies.log"):
        assert downloaded(page, name) == (tmp_path / "there" / name).read_bytes()
    assert b"windowed_gaussian" in downloaded(page, "config.yaml")

    choose(page, "source", "Run folder of another process")
    choose(page, "folder", f"runs/{dashboard.newest_run().name}")
    begin(page)
    expect(badge(page, "Done")).to_contain_text(dashboard.newest_run().name)

    choose(page, "source", "Synthetic stream")
    begin(page)
    page.reload()
    badge(page, "Training")
    page.locator(".chart").wait_for()  # a run without a row leaves no folder
    page.get_by_role("button", name="Stop").click()
    badge(page, "Stopped")
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    assert metrics(dashboard.newest_run())["status"] == "interrupted"


def test_zoom_and_a_clicked_incident(page: Page, dashboard: Dashboard) -> None:
    begin(page)
    badge(page, "Done")
    at_rest(page)  # what comes when a run is done moves the chart
    whole, canvas = chart(page), page.locator("canvas.above")
    canvas.drag_to(canvas, source_position={"x": 500, "y": 100}, target_position={"x": 700, "y": 100})
    wait_until(lambda: whole["from"] < chart(page)["from"] < chart(page)["to"] < whole["to"])
    zoomed = chart(page)
    page.get_by_role("button", name="›").click()
    wait_until(lambda: chart(page)["from"] > zoomed["from"])
    canvas.hover(position={"x": 500, "y": 120})
    expect(page.locator(".tip")).to_contain_text("expected")
    canvas.dblclick(position={"x": 300, "y": 60})
    wait_until(lambda: chart(page)["from"] == whole["from"])

    at_rest(page)
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    first_row: dict[str, Any] = {"position": {"x": 200, "y": 55}, "force": True}
    table.hover(**first_row)
    page.wait_for_timeout(300)  # as a person does, and as the table needs to find out where the mouse is
    table.click(**first_row, delay=80)
    wait_until(lambda: chart(page)["to"] - chart(page)["from"] < (whole["to"] - whole["from"]) / 20)
    page.get_by_role("button", name="false alarm").click()
    expect(page.locator(".st-key-feedback")).to_contain_text("What is like it does not ring any more.")
    (said,) = (dashboard.newest_run() / "feedback.jsonl").read_text().splitlines()
    worst = max(incidents(dashboard.newest_run()), key=lambda each: each["severity"])
    assert (json.loads(said)["incident"], json.loads(said)["label"]) == (worst["id"], False)
    page.get_by_role("button", name="Reset").click()
    wait_until(lambda: chart(page)["from"] == whole["from"])
    page.get_by_test_id("stButtonGroup").get_by_text("Newest 1,000").click()
    wait_until(lambda: chart(page)["from"] > zoomed["to"])


def test_what_is_wrong_is_said_and_can_be_mended(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    write(page, "budget", "3")
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("threshold.budget is 3")
    write(page, "budget", "0.01")
    good = write_csv(tmp_path / "my *load* [x](y).csv", range(1000), wave(1000))
    bad = tmp_path / "bad.csv"
    bad.write_text(good.read_text().replace("\n700,", "\nseven,"))
    choose(page, "source", "Uploaded file")
    expect(page.get_by_role("button", name="Start monitoring")).to_be_disabled()
    upload(page, bad)
    begin(page)
    badge(page, "Failed")
    expect(page.get_by_test_id("stAlert")).to_contain_text(re.compile("bad.csv, line 702.*'seven'"))
    upload(page, good)
    begin(page)
    expect(badge(page, "Done")).to_contain_text("my *load* [x](y).csv")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    assert downloaded(page, "scores.csv") == (dashboard.newest_run() / "scores.csv").read_bytes()


def test_the_server_is_for_this_machine_and_ends_with_its_run(browser: Browser, tmp_path: Path) -> None:
    running = Dashboard(tmp_path)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for host in others | {"127.0.0.2"}:
        with socket.socket() as probe:
            probe.settimeout(5)
            assert probe.connect_ex((host, int(running.address.rpartition(":")[2]))) != 0
    with opened(browser, running.address, width=400, scheme="dark") as page:
        assert page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor") == "rgb(20, 23, 26)"
        page.get_by_role("button", name="Start with what").click()
        page.locator(".chart").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        page.screenshot(path=tmp_path / "phone.png")
    outcome = running.close()
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "interrupted\n")
    run = running.newest_run()
    wait_until((run / "metrics.json").is_file)  # the dashboard has waited five seconds for it at most
    assert metrics(run)["status"] == "interrupted"  # the run that was under way is whole
