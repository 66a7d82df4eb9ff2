"""Several addresses of one aggregator: which of them a node's line goes to."""

from __future__ import annotations

import pytest

from afml.consortium.look import addresses
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.core.errors import TransportError
from afml.trial.kits import make_kits
from node import line
from node.line import Line, NotThere


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> NodeKit:
    made = tmp_path_factory.mktemp("line") / "kits"
    make_kits(made, "test", 2)
    return load_node_kit(made / "node-1")


def test_an_address_that_does_not_answer_is_followed_by_the_next(kit: NodeKit, monkeypatch: pytest.MonkeyPatch) -> None:
    there, tried = {"b:1"}, list[str]()

    def shown(address: str, *_: object) -> bytes:
        tried.append(address)
        if address not in there:
            raise ConnectionRefusedError(111, "Connection refused")
        return kit.tls.ca

    monkeypatch.setattr(line, "shown_by", shown)
    made = Line("a:1, b:1,c:1", kit)
    first = made.stub
    assert made.stub is first
    assert tried == ["a:1", "b:1"]
    made.doubt()
    assert made.stub is first, "the others do not answer: it is still this one"
    assert tried[2:] == ["c:1", "a:1", "b:1"]
    there.add("c:1")
    made.doubt()
    assert made.stub is not first
    assert tried[5:] == ["c:1"]
    there.clear()
    made.doubt()
    with pytest.raises(NotThere, match="Connection refused"):
        _ = made.stub
    assert tried[6:] == ["a:1", "b:1", "c:1"]
    made.close()


def test_an_empty_address_is_refused() -> None:
    assert addresses("a:1, [::1]:2") == ["a:1", "[::1]:2"]
    with pytest.raises(TransportError, match="names an empty address; for example"):
        addresses("a:1,")
