"""Files that were signed before are read and believed: a field added today must not change what was signed then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import Field

from afml.consortium.card import read_cards
from afml.consortium.history import load_history, load_roster
from afml.consortium.inforce import load_since
from afml.consortium.orders import Order
from afml.consortium.proposal import Countersignature
from afml.consortium.request import Request, read_request
from afml.consortium.roster import Roster
from afml.consortium.run import FORMAT, RunConfig
from afml.consortium.runfile import load_run
from afml.core.config import Signed, later
from afml.core.errors import AfmlError, ConfigError, InputError
from afml.ledger.schema import WITH_LOST
from tests.formats.make import STORED
from tests.ledger.helpers import open_ledger

MODELS: list[tuple[type[Signed], str]] = [
    (RunConfig, "run.json"), (Roster, "roster.json"), (Request, "request.json"),
]  # fmt: skip


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED, tmp_path / "stored"))


def test_everything_that_was_signed_is_still_believed() -> None:
    history = load_history(STORED)
    history.require_countersigned(1, "majority", STORED)
    assert [len(version.roster.members) for version in history.versions] == [3, 4]
    assert load_roster(STORED / "first") == history.versions[0].roster
    assert read_request(STORED / "request.json").name == "Uppsala"
    assert read_cards([STORED / "card.json"], history.present)[0].enrolled == 12
    run = load_run(STORED / "run.json", history)
    assert history.of(run.roster, "run") == history.versions[0].roster
    Order.load(STORED / "order.json").check(run, history.of(run.roster, "run"))
    assert load_since(STORED, history.present).keys() >= {"node/1", "node/4", "aggregator"}
    assert Countersignature.load(STORED / "countersignature.json").roster == history.present.digest().hex()


@pytest.mark.parametrize(("model", "name"), MODELS)
def test_a_field_of_tomorrow_leaves_what_was_signed_as_it_is(model: type[Signed], name: str) -> None:
    """An older minor version is understood: added by `later`, a field changes no digest; added plainly, it would."""

    class Tomorrow(model):  # type: ignore[misc, valid-type]
        added: float = later(0.5)

    class Careless(model):  # type: ignore[misc, valid-type]
        added: float = Field(default=0.5)

    before = model.load(STORED / name).digest()
    assert Tomorrow.load(STORED / name).digest() == before
    assert Careless.load(STORED / name).digest() != before


@pytest.mark.parametrize("name", ["run.json", "roster.json", "request.json", "card.json"])
def test_a_file_of_tomorrow_is_refused_with_what_to_do(stored: Path, name: str) -> None:
    path = stored / name
    path.write_text(json.dumps({**json.loads(path.read_text()), "added": 1}))
    history = load_history(STORED)
    with pytest.raises(InputError, match=r"says added, which this version .* a newer one wrote it; update AFML here"):
        if name == "run.json":
            load_run(path, history)
        elif name == "card.json":
            read_cards([path], history.present)
        elif name == "request.json":
            read_request(path)
        else:
            load_history(stored)


@pytest.mark.parametrize(("number", "cure"), [(FORMAT + 1, "update AFML here"), (FORMAT - 1, "`afml configure`")])
def test_a_run_of_another_format_says_who_has_to_do_something(stored: Path, number: int, cure: str) -> None:
    path = stored / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": number, "added": 1}))
    with pytest.raises(ConfigError, match=f"of format {number}; this version of AFML reads format {FORMAT}; .*{cure}"):
        load_run(path, load_history(STORED))


@pytest.mark.parametrize(("model", "name"), MODELS)
def test_a_stored_file_is_what_this_version_would_write(model: type[Signed], name: str) -> None:
    assert json.loads((STORED / name).read_text()) == json.loads(model.load(STORED / name).canonical())


def test_a_spoiled_signature_is_no_matter_of_formats(stored: Path) -> None:
    (stored / "run.sig").write_bytes(bytes(64))
    with pytest.raises(AfmlError, match="signature does not match"):
        load_run(stored / "run.json", load_history(STORED))


@pytest.mark.parametrize(("number", "cure"), [(WITH_LOST + 1, "update AFML here"), (1, "use the version of AFML that")])
def test_a_ledger_of_another_format_says_who_has_to_do_something(tmp_path: Path, number: int, cure: str) -> None:
    open_ledger(tmp_path / "ledger").close()
    with closing(sqlite3.connect(tmp_path / "ledger" / "ledger.db")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(number),))
    with pytest.raises(InputError, match=f"has schema version {number}, and this AFML reads versions .*{cure}"):
        open_ledger(tmp_path / "ledger")
