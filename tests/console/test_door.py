"""Who gets in: links that are good once, a token file, hosts that are known, and what a browser is told to keep out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from afml.console.sections import PAGES
from tests.console.conftest import Served, Start
from tests.processes import afml


def test_without_a_token_there_is_no_page(served: Served) -> None:
    first = served.ask("/")
    assert (first.code, first.headers["location"]) == (303, "/sign-in")
    paths = [page.path for page in PAGES if page.path != "/"]
    for path in [*paths, "/runs/summer", "/live?page=/", "/approve/" + "0" * 64, "/quality/0", "/nothing"]:
        answer = served.ask(path)
        assert (answer.code, answer.text) == (401, "sign in first\n"), path
        assert served.ask(path, Cookie="afml-console=" + "x" * 43).code == 401
    assert served.ask("/approve/" + "0" * 64, "POST", {"csrf": ""}).code == 401
    assert "lake-study" not in served.ask("/sign-in").text


def test_a_link_is_good_once(served: Served) -> None:
    used = served.token
    cookie = served.sign_in()
    assert served.ask("/", Cookie=cookie).code == 200
    again = served.ask(f"/sign-in?token={used}")
    assert again.code == 403
    assert again.cookies == []
    assert "was used before" in again.text
    for wrong in ("", "x", used[:-1], used.swapcase()):
        answer = served.ask("/sign-in", "POST", {"token": wrong})
        assert answer.cookies == [], wrong
    answer = served.ask("/sign-in", "POST", {"token": served.token})  # by hand
    assert answer.code == 200
    served.token = served.next_token()


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(served: Served) -> None:
    answer = served.ask(f"/sign-in?token={served.token}")
    served.token = served.next_token()
    (cookie,) = answer.cookies
    parts = [part.strip().lower() for part in cookie.split(";")]
    assert {"httponly", "samesite=strict", "path=/"} <= set(parts)
    assert "domain" not in cookie.lower()


def test_every_answer_forbids_what_a_page_does_not_need(served: Served) -> None:
    cookie = served.sign_in()
    for path, code in (
        ("/", 200),
        ("/budgets", 200),
        ("/sign-in", 200),
        ("/static/console.js", 200),
        ("/nothing", 404),
    ):
        answer = served.ask(path, Cookie=cookie)
        assert answer.code == code
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not any(word in policy for word in ("http:", "https:", "*"))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert " style=" not in answer.text
        assert " onclick" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_another_host_is_refused_whoever_asks(served: Served, host: str) -> None:
    cookie = served.sign_in()
    answer = served.ask("/", Cookie=cookie, Host=host.format(port=served.port))
    assert answer.code in (400, 421)
    assert "lake-study" not in answer.text
    assert served.ask("/", Cookie=cookie, Host=f"localhost:{served.port}").code == 200


def test_signing_out_ends_the_session(served: Served) -> None:
    cookie = served.sign_in()
    word = csrf(served.ask("/", Cookie=cookie).text)
    assert served.ask("/sign-out", "POST", {"csrf": "x"}, Cookie=cookie).code == 403
    assert served.ask("/", Cookie=cookie).code == 200
    assert served.ask("/sign-out", "POST", {"csrf": word}, Cookie=cookie).code == 303
    assert served.ask("/budgets", Cookie=cookie).code == 401


def test_a_token_file_is_made_private_and_read_anew(site: Path, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "token"
    served = start(site / "work", "--token-file", path)
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text().strip()
    assert len(token) >= 43
    assert served.ask("/sign-in", "POST", {"token": "x" * 43}).code == 403
    assert served.ask("/sign-in", "POST", {"token": token}).code == 200
    path.write_text("y" * 43)
    assert served.ask("/sign-in", "POST", {"token": token}).code == 403
    assert served.ask("/sign-in", "POST", {"token": "y" * 43}).code == 200
    path.chmod(0o644)
    refused = served.ask("/sign-in", "POST", {"token": "y" * 43})
    assert refused.code == 403
    assert "readable by others" in refused.text


def test_what_the_command_refuses(site: Path, tmp_path: Path) -> None:
    def complaint(*arguments: object) -> str:
        done = afml("console", *arguments)
        assert done.returncode not in (0, 1), done.stdout
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "does not exist" in complaint(tmp_path / "nowhere")
    assert "could be reached from other machines" in complaint(site / "work", "--listen", "0.0.0.0:0")
    assert "is not host:port" in complaint(site / "work", "--listen", "127.0.0.1")
    short, open_to_all = tmp_path / "short", tmp_path / "open"
    for path in (short, open_to_all):
        path.write_text("secret" if path is short else "x" * 43)
        path.chmod(0o600 if path is short else 0o640)
    assert "fewer than 32 characters" in complaint(site / "work", "--listen", "127.0.0.1:0", "--token-file", short)
    assert "chmod 600" in complaint(site / "work", "--listen", "127.0.0.1:0", "--token-file", open_to_all)


def test_behind_a_proxy_the_cookie_asks_for_tls(summing: Path, start: Start, tmp_path: Path) -> None:
    data = shutil.copytree(summing / "data", tmp_path / "data")
    served = start(data, "--host", "console.example.org")
    answer = served.ask(f"/sign-in?token={served.token}", Host="console.example.org")
    assert answer.code == 200
    assert "secure" in [part.strip().lower() for part in answer.cookies[0].split(";")]


def csrf(page: str) -> str:
    """The word of a page's forms."""
    return page.split('name="csrf" value="')[1].split('"')[0]
