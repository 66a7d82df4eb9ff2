"""The console in a real browser: flows, live changes, no request elsewhere, and what axe-core finds of WCAG AA."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from afml.console.sections import PAGES
from afml.ledger.summary import summarise
from tests.console import made
from tests.console.conftest import Served, Start

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no chromium: the console is not opened in a browser", allow_module_level=True)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def entered(browser: Browser, served: Served, width: int = 1280, scheme: str = "light") -> Page:
    """A page of somebody who followed the link; whatever the browser complains of fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{served.origin}/sign-in?token={served.token}")
    page.wait_for_url(f"{served.origin}/")
    served.token = served.next_token()
    return page


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (390, "light"), (1280, "dark")])
def test_every_page_is_in_order(browser: Browser, served: Served, width: int, scheme: str) -> None:
    """No complaint of the browser (a broken policy is one), none of axe-core, nothing asked elsewhere or cut off."""
    from axe_playwright_python.sync_playwright import Axe

    page, complaints, asked = entered(browser, served, width, scheme), list[str](), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    (digest,) = re.findall(r"/approve/([0-9a-f]{64})\">Read and approve", page.content())
    (refused,) = re.findall(r"/approve/([0-9a-f]{64})\">winter", page.content())
    runs = ["/runs/summer", "/runs/summer/rounds", f"/approve/{digest}", f"/approve/{refused}"]
    for path in [*(page.path for page in PAGES), *runs]:
        page.goto(served.origin + path)
        # The policy lets in no code but the console's own: axe-core is put in by the browser's own tools.
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert page.locator("h1").count() == 1
    assert complaints == []
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{served.port}"}
    page.context.close()


def test_the_sign_in_page_is_in_order_and_takes_a_token(browser: Browser, served: Served) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(served.origin)
    assert page.url == f"{served.origin}/sign-in"
    assert Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}}).violations_count == 0
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    page.get_by_label("Token").fill(served.token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.origin}/")
    served.token = served.next_token()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{served.origin}/sign-in")
    context.close()


def test_a_round_appears_by_itself_and_what_is_read_stays(browser: Browser, overseen: Served, summing: Path) -> None:
    config = made.signed(summing, "summer", 0.4, rounds=40)
    made.standing(5, 40, 26, reason="waits").keep(summing / "data")
    page = entered(browser, overseen, 390)
    page.goto(f"{overseen.origin}/runs/summer")
    page.get_by_text("Live: changes appear by themselves.").wait_for()
    page.get_by_role("region", name="Rounds").focus()
    made.publish(summing, config, [27])
    made.standing(5, 40, 27, reason="node 3 was lost").keep(summing / "data")
    page.get_by_text("node 3 was lost").wait_for()
    page.get_by_role("rowheader", name="27", exact=True).wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Rounds"  # though it was put in anew
    page.context.close()


def test_a_person_approves_a_run(browser: Browser, start: Start, tmp_path: Path) -> None:
    made.kits(tmp_path)
    work = made.work_folder(tmp_path)
    made.signed(tmp_path, "autumn", 0.3)
    served = start(work, "--kit", tmp_path / "kits" / "node-1", "--run", tmp_path / "signed")
    page = entered(browser, served)
    page.get_by_role("link", name="Read and approve run autumn").click()
    page.get_by_text("by itself it would spend at most 0.300 sigma").wait_for()
    page.get_by_role("button", name="Approve run autumn").click()
    page.get_by_text("A person at this site has approved it").wait_for()
    assert [body["kind"] for body in summarise(work / "ledger").bodies] == ["policy", "approval"]
    page.context.close()
