"""The console: a run of 1,000 rounds by 64 nodes, as its page is made, sent, and laid out by a browser.

console_ms           request to last byte of the run's page, median, over loopback, signed in
console_rounds_ms    the same of the page that lists all 1,000 rounds
console_browser_ms   Chromium from asking for the run's page to its load event, median; absent where there is none
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from tests.console import made

BARS = {"console_ms": ("<=", 1000.0), "console_rounds_ms": ("<=", 1000.0), "console_browser_ms": ("<=", 1000.0)}
ROUNDS, NODES, TIMES = 1000, 64, 15


def run() -> dict[str, object]:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = made.aggregator(root, nodes=NODES, rounds=ROUNDS, published=ROUNDS - 1)
        command = [sys.executable, "-m", "afml", "console", str(data), "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                link = re.search(r"127\.0\.0\.1:(\d+)(/sign-in\?token=\S+)", process.stdout.readline())
                assert link is not None
                return _measured(int(link[1]), link[2], data)
            finally:
                process.terminate()


def _measured(port: int, link: str, data: Path) -> dict[str, object]:
    connection = HTTPConnection("127.0.0.1", port)

    def get(path: str, cookie: str = "") -> tuple[str, str]:
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        return answer.read().decode(), (answer.headers["set-cookie"] or "").split(";")[0]

    def fresh() -> None:
        made.standing(NODES, ROUNDS, ROUNDS - 1).keep(data)

    _, cookie = get(link)
    page, _ = get("/runs/summer", cookie)
    assert page.count('class="strip"') == NODES
    figures: dict[str, object] = {
        "console_ms": _median(lambda: get("/runs/summer", cookie), fresh),
        "console_rounds_ms": _median(lambda: get("/runs/summer/rounds", cookie), fresh),
        "console_page_kb": round(len(page.encode()) / 1000),
    }
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is not None:
        figures["console_browser_ms"] = _in_browser(browser, port, cookie, fresh)
    return figures


def _median(look: Callable[[], object], before: Callable[[], None]) -> float:
    """Milliseconds."""
    found = []
    for _ in range(TIMES):
        before()
        began = time.perf_counter()
        look()
        found.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(found), 1)


def _in_browser(browser: str, port: int, cookie: str, before: Callable[[], None]) -> float:
    from playwright.sync_api import sync_playwright

    name, _, value = cookie.partition("=")
    origin = f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = opened.new_context()
        context.add_cookies([{"name": name, "value": value, "url": origin}])
        page = context.new_page()
        found = _median(lambda: page.goto(f"{origin}/runs/summer", wait_until="load"), before)
        opened.close()
    return found
