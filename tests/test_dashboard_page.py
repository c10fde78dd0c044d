"""The dashboard in a real browser: what a person sees, moves, clicks, uploads and downloads."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from program import GAUSSIAN, PATIENCE, Outcome, count_lines, finish, metrics, rows, start, wait_until, wave, write_csv
from yahoo_server import YahooServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed; apt-get install chromium")
pytest.importorskip("streamlit", reason="streamlit is not installed; pip install -r requirements-dev.txt")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; pip install -r requirements-dev.txt")
expect = sync_api.expect
expect.set_options(timeout=1000 * PATIENCE)


class Dashboard:
    """The command ``dashboard`` as a process of its own."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.process = start("dashboard", *arguments, folder=folder, env={**os.environ, **(environment or {})})
        assert self.process.stderr
        line = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line + self.process.stderr.read()
        self.address, self.port = found[0], int(found[1])

    def end(self) -> Outcome:
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return finish(self.process)

    def close(self) -> None:
        """End it, however it stands."""
        self.process.terminate()
        finish(self.process)

    def newest_run(self) -> Path:
        """The folder of the run that was started last."""
        return max((self.folder / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)


@pytest.fixture(scope="module")
def yahoo() -> Iterator[YahooServer]:
    with YahooServer() as server:
        yield server


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory, yahoo: YahooServer) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("dashboard")
    environment = {**yahoo.environment(), "XDG_CACHE_HOME": str(folder / "cache"), "NO_PROXY": ""}
    with closing(Dashboard(folder, environment=environment)) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # tests run as root, too
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, width: int = 1280, scheme: Any = "light") -> Iterator[Page]:
    """The page in a window of that width, with nothing remembered."""
    with closing(browser.new_context(viewport={"width": width, "height": 1400}, color_scheme=scheme, locale="en-US")) as context:
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.goto(address)
        at_rest(page)
        yield page


@pytest.fixture
def page(browser: Browser, dashboard: Dashboard) -> Iterator[Page]:
    with opened(browser, dashboard.address) as page:
        yield page


# --- what a person does ---


def at_rest(page: Page) -> None:
    """Wait until the page has taken in what was done to it."""
    page.locator(".st-key-pace").wait_for(state="attached")
    page.wait_for_timeout(150)  # a field tells the server a moment after it was changed
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def choose(page: Page, field: str, option: str) -> None:
    """Choose from a list."""
    box = page.locator(f".st-key-{field}").get_by_role("combobox")
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # a list closes when what is behind it moves
    box.click()
    page.get_by_role("option").filter(has_text=re.compile(rf"^\s*{option}\s*$")).click()
    at_rest(page)


def write(page: Page, field: str, text: str) -> None:
    """Fill in a field."""
    box = page.locator(f".st-key-{field} input")
    box.fill(text)
    box.press("Enter")
    at_rest(page)


def slide(page: Page, field: str, key: str, times: int = 1) -> None:
    """Move a slider with the keyboard."""
    handle = page.locator(f".st-key-{field}").get_by_role("slider")
    for _ in range(times):
        handle.press(key)
    at_rest(page)


def begin(page: Page) -> None:
    """Press the button."""
    page.get_by_role("button", name="Start monitoring").click()
    at_rest(page)


def upload(page: Page, file: Path) -> None:
    """Choose a file of one's own in place of the one before."""
    with page.expect_response(lambda response: "upload_file" in response.url and response.request.method == "PUT"):
        page.locator(".st-key-upload input[type=file]").set_input_files(file)
    page.locator(".st-key-upload").get_by_text(file.name).wait_for()
    at_rest(page)


def use_quick_detector(page: Page) -> None:
    """One that is trained in a moment; at full speed."""
    choose(page, "detector", "Windowed Gaussian")
    slide(page, "pace", "End")


def badge(page: Page, word: str) -> None:
    """Wait until the headline says how the run stands."""
    expect(headline(page).locator(".stMarkdownBadge")).to_have_text(word)


def headline(page: Page) -> Locator:
    """Name of the series, and how its run stands."""
    return page.locator("h3").filter(has=page.locator(".stMarkdownBadge"))


def fault(page: Page) -> str:
    """What the page says is wrong."""
    return page.get_by_test_id("stAlert").inner_text()


def chart(page: Page) -> dict[str, float]:
    """What the chart shows, by its own account."""
    shown = page.locator(".chart").evaluate("chart => ({...chart.dataset})")
    return {key: float(value) for key, value in shown.items()}


def settled(page: Page, **wanted: float) -> dict[str, float]:
    """The chart once it shows so many points, flags or whatever."""
    page.wait_for_function(
        """wanted => {
            const hosts = [...document.querySelectorAll('.st-key-chart *')], root = hosts.find((host) => host.shadowRoot)?.shadowRoot;
            const chart = (root ?? document).querySelector('.chart');
            return chart && Object.entries(wanted).every(([key, value]) => Number(chart.dataset[key]) === value);
        }""",
        arg=wanted,
    )
    return chart(page)


def counter(page: Page, name: str) -> str:
    """The number on one of the cards."""
    card = page.get_by_test_id("stMetric").filter(has=page.get_by_test_id("stMetricLabel").get_by_text(name, exact=True))
    return card.get_by_test_id("stMetricValue").inner_text()


def downloaded(page: Page, name: str) -> bytes:
    """A file as the browser saves it."""
    at_rest(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name=name).click()
    assert waiting.value.suggested_filename == name
    return Path(waiting.value.path()).read_bytes()


def overflow(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


# --- the page ---


def test_the_page_asks_nobody_but_its_own_server_for_anything(browser: Browser, dashboard: Dashboard) -> None:
    asked: list[str] = []
    faults: list[object] = []
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda fault: faults.append(fault))
        page.goto(dashboard.address)
        expect(page.get_by_text("Watch a series for anomalies")).to_be_visible()
    elsewhere = [url for url in asked if not url.startswith((dashboard.address, "data:", "blob:"))]
    assert (elsewhere, faults) == ([], [])


def test_a_run_is_started_watched_and_downloaded(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    use_quick_detector(page)
    slide(page, "points", "ArrowRight", 4)  # 10,000
    slide(page, "noise", "ArrowRight", 2)
    page.locator(".st-key-kinds").get_by_role("button", name="flat").click()
    slide(page, "pace", "ArrowLeft", 2)  # 2,000 points a second
    begin(page)
    badge(page, "Running")
    page.locator("canvas.below").evaluate("canvas => { canvas.isTheOldOne = true; }")
    expect(page.locator(".legend")).to_contain_text("flagged")  # while the run goes on
    slide(page, "pace", "End")
    badge(page, "Done")
    shown = settled(page, points=10_000)
    assert page.locator("canvas.below").evaluate("canvas => canvas.isTheOldOne")  # the same one: nothing was laid out anew
    counts = metrics(dashboard.newest_run())["counts"]
    assert shown["flagged"] == shown["dots"] == counts["flagged"] > 0
    assert counter(page, "Points").replace(",", "") == "10000"
    assert counter(page, "Incidents") == str(counts["incidents"])
    quality = metrics(dashboard.newest_run())["quality"]
    assert counter(page, "False alarms") == f"{100 * quality['false_alarm_share']:.2f} %"
    page.screenshot(path=tmp_path / "done.png")

    page.get_by_text("as a command line").click()
    code = page.get_by_test_id("stExpander").filter(has_text="as a command line").locator("code")
    expect(code).to_contain_text("python main.py")
    _, _, *arguments = shlex.split(code.inner_text().replace("\n", " "))
    assert {"synthetic.points=10000", "synthetic.noise=0.7", "synthetic.anomalies.flat=false"} <= set(arguments)
    there = start(*arguments, "--plot", "none", "--out", "there", folder=tmp_path)
    assert finish(there).code == 0
    for name in ("scores.csv", "incidents.jsonl"):
        assert downloaded(page, name) == (tmp_path / "there" / name).read_bytes()


def test_a_run_is_paused_goes_on_and_is_stopped_and_a_page_that_is_loaded_again_finds_it(
    page: Page, dashboard: Dashboard
) -> None:
    use_quick_detector(page)
    slide(page, "pace", "Home")
    begin(page)
    badge(page, "Running")
    page.get_by_role("button", name="Pause").click()
    badge(page, "Paused")
    page.reload()
    badge(page, "Paused")
    page.get_by_role("button", name="Go on").click()
    badge(page, "Running")
    page.get_by_role("button", name="Stop").click()
    badge(page, "Stopped")
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    assert metrics(dashboard.newest_run())["status"] == "interrupted"


def test_the_chart_is_zoomed_and_an_incident_that_is_clicked_is_shown(page: Page, tmp_path: Path) -> None:
    use_quick_detector(page)
    begin(page)
    badge(page, "Done")
    whole = settled(page, points=6000)
    at_rest(page)  # what comes when a run is done moves the chart
    box = page.locator("canvas.above").bounding_box()
    across = [box["x"] + box["width"] * share for share in (0.5, 0.7)]
    page.mouse.move(across[0], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(across[1], box["y"] + 100, steps=4)
    page.mouse.up()
    wait_until(lambda: chart(page)["from"] > whole["from"])
    zoomed = chart(page)
    assert whole["from"] < zoomed["from"] < zoomed["to"] < whole["to"]
    page.get_by_role("button", name="›").click()
    wait_until(lambda: chart(page)["from"] > zoomed["from"])
    page.mouse.move(across[0], box["y"] + 120)
    expect(page.locator(".tip")).to_contain_text("expected")
    page.screenshot(path=tmp_path / "zoomed.png")
    page.locator("canvas.above").dblclick(position={"x": 300, "y": 60})
    settled(page, **{"from": whole["from"], "to": whole["to"]})

    at_rest(page)
    table = page.get_by_test_id("stDataFrame")
    table.scroll_into_view_if_needed()
    corner = table.locator("canvas").first.bounding_box()
    first_row = corner["x"] + 200, corner["y"] + 55
    page.mouse.move(*first_row)
    page.wait_for_timeout(300)  # as a person does, and as the table needs to find out where the mouse is
    page.mouse.click(*first_row, delay=80)
    wait_until(lambda: chart(page)["to"] < whole["to"])
    assert chart(page)["to"] - chart(page)["from"] < (whole["to"] - whole["from"]) / 20
    page.get_by_role("button", name="Reset").click()
    settled(page, **{"from": whole["from"], "to": whole["to"]})
    page.get_by_test_id("stButtonGroup").get_by_text("Newest 1,000").click()
    wait_until(lambda: chart(page)["from"] > zoomed["to"])


def test_a_file_is_uploaded_and_a_bad_one_is_refused_in_words(page: Page, dashboard: Dashboard, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "my *load* [x](y).csv", range(1000), wave(1000))
    lines = good.read_text().splitlines(keepends=True)
    bad = tmp_path / "bad.csv"
    bad.write_text("".join([*lines[:700], "700,abc\n", *lines[701:]]))
    flat = write_csv(tmp_path / "flat.csv", range(1000), [5] * 1000)
    use_quick_detector(page)
    choose(page, "detector", "Isolation forest")
    choose(page, "source", "Uploaded file")
    upload(page, bad)
    begin(page)
    badge(page, "Failed")
    assert "bad.csv, line 701" in fault(page) and "'abc'" in fault(page)
    page.screenshot(path=tmp_path / "refused.png")
    upload(page, flat)
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("constant")
    upload(page, good)
    begin(page)
    badge(page, "Done")
    expect(headline(page)).to_contain_text("my *load* [x](y).csv")
    assert downloaded(page, "scores.csv") == (dashboard.newest_run() / "scores.csv").read_bytes()
    assert [row["value"] for row in rows(dashboard.newest_run())] == [str(value) for value in wave(1000)]


def test_a_wrong_budget_is_refused_in_words_and_the_page_stays_usable(page: Page) -> None:
    use_quick_detector(page)
    write(page, "budget", "3")
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("threshold.budget is 3")
    write(page, "budget", "1 per day")
    begin(page)
    badge(page, "Done")
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


def test_prices_are_watched_and_what_yahoo_does_not_give_is_told(page: Page, yahoo: YahooServer) -> None:
    choose(page, "source", "Yahoo Finance ticker")
    use_quick_detector(page)
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("type one, e.g. AAPL")
    write(page, "ticker", "AAPL")
    begin(page)
    badge(page, "Done")
    expect(headline(page)).to_contain_text("AAPL")
    write(page, "ticker", "NOSUCH")
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("NOSUCH")
    yahoo.mode = "no_tunnel"
    write(page, "ticker", "MSFT")
    begin(page)
    expect(page.get_by_test_id("stAlert")).to_contain_text("MSFT")
    expect(page.get_by_test_id("stAlert")).to_contain_text("upload a saved file")


def test_a_run_of_another_process_is_watched(page: Page, dashboard: Dashboard) -> None:
    paced = ("--set", "synthetic.points_per_second=200", "--set", "training.points=200")
    process = start("--source", "synthetic", *GAUSSIAN, *paced, "--out", "runs/elsewhere", folder=dashboard.folder)
    wait_until(lambda: count_lines(dashboard.folder / "runs" / "elsewhere" / "scores.csv") > 10, process)
    choose(page, "source", "Run folder of another process")
    choose(page, "folder", "runs/elsewhere")
    begin(page)
    badge(page, "Running")
    expect(headline(page)).to_contain_text("elsewhere")
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    badge(page, "Stopped")
    counts = metrics(dashboard.folder / "runs" / "elsewhere")["counts"]
    assert settled(page, points=counts["points"])["flagged"] == counts["flagged"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_fits_its_window(browser: Browser, dashboard: Dashboard, tmp_path: Path, width: int, scheme: str) -> None:
    with opened(browser, dashboard.address, width, scheme) as page:
        if width == 400:
            page.get_by_test_id("stExpandSidebarButton").click()
        use_quick_detector(page)
        begin(page)
        page.screenshot(path=tmp_path / "sidebar.png")
        if width == 400:
            page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
        badge(page, "Done")
        settled(page, points=6000)
        at_rest(page)
        assert overflow(page) == 0
        page.screenshot(path=tmp_path / "top.png")
        page.get_by_role("button", name="incidents.jsonl").scroll_into_view_if_needed()
        page.screenshot(path=tmp_path / "bottom.png")
        background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 23, 26)")


# --- the command ---


def test_the_server_is_for_this_machine_alone_and_ends_with_its_command(browser: Browser, tmp_path: Path) -> None:
    running = Dashboard(tmp_path)
    try:
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
        for host in others | {"127.0.0.2"}:
            with socket.socket() as probe:
                probe.settimeout(5)
                assert probe.connect_ex((host, running.port)) != 0
        second = finish(start("dashboard", "--port", running.port, folder=tmp_path))
        assert (second.code, second.error) == (
            2,
            f"--port {running.port} is taken or not allowed; give another one, or leave it out for a free one",
        )
        with opened(browser, running.address) as page:
            choose(page, "detector", "Windowed Gaussian")
            slide(page, "pace", "Home")
            begin(page)
            badge(page, "Running")
        outcome = running.end()
        assert (outcome.code, outcome.out) == (130, "")
        assert outcome.err == "interrupted\n"
        assert metrics(running.newest_run())["status"] == "interrupted"  # the run that was under way is whole
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", running.port)) != 0
    finally:
        if running.process.poll() is None:
            running.process.kill()


def test_the_server_does_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    with closing(Dashboard(tmp_path)) as running:
        running.process.kill()

        def is_gone() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", running.port)) != 0

        wait_until(is_gone)


def test_the_page_can_be_served_by_streamlit_itself(tmp_path: Path, root: Path, browser: Browser) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(root / "autoencoder" / "dashboard" / "page.py"),
        "--server.port",
        str(port),
    ]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers)
        with opened(browser, f"http://127.0.0.1:{port}") as page:
            expect(page.get_by_text("Watch a series for anomalies")).to_be_visible()
    finally:
        server.terminate()
        server.wait(PATIENCE)
