"""The card of a node: what an institution declares in public before a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from afml.consortium import messages
from afml.consortium.roster import Roster
from afml.core.config import Settings, Signed, later
from afml.core.errors import InputError, IntegrityError
from crypto.public.signing import verify

Role = Literal["train", "holdout"]
"""Of a person: takes part in training, or is kept out of it, to evaluate with. As in the people table."""


class DataAgreement(Settings):
    """What the institutions' data have in common, without a value of anybody's.

    Attributes:
        kind: Kind of data, a name of `afml.data.kind.DATA_KINDS`.
        fingerprint: Hex SHA-256 of what must be the same everywhere: the site panel, the schema of a table.
        features: Columns that a task sees of a person: sites, or numbers of a row.
        shape: Of a row, where it is no plain list of features: (channels, height, width) of an image.
        targets: Numbers that are predicted of a row; 0 where the kind of data names none.
        panel: Hex SHA-256 of the public people that come with the data, where some do: what is computed from them
            must be equal everywhere.
    """

    kind: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    fingerprint: str
    features: int = Field(ge=1)
    shape: tuple[int, ...] = later(())
    targets: int = later(0, ge=0)
    panel: str = later("", pattern=r"^([0-9a-f]{64})?$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.shape and (min(self.shape) < 1 or math.prod(self.shape) != self.features):
            raise ValueError(f"a shape of {self.shape} does not have {self.features} features")
        return self

    @property
    def named(self) -> str:
        """In a few words, to tell it from another's: `genotypes 0123456789ab, public people ba9876543210`."""
        return f"{self.kind} {self.fingerprint[:12]}" + (f", public people {self.panel[:12]}" if self.panel else "")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape or (self.features,)


class NodeCard(Signed):
    """What an institution declares in public before a run, signed with its roster key.

    Attributes:
        node: Its number.
        data: What its data have in common with the others'.
        enrolled: People enrolled in training.
        held_out: People kept out of training, where the institution declares them: a run may then evaluate a model
            on them.
        max_enrolments: Institutions, this one included, that one of them may be enrolled at in a run: its word,
            since nobody else can know. A run below it is refused, here and by `afml configure`.
        signature: Over all else.
    """

    node: int
    data: DataAgreement
    enrolled: int = Field(ge=1)
    held_out: int | None = later(None, ge=1)
    max_enrolments: int = Field(default=1, ge=1)
    signature: str = ""

    def people(self, role: Role) -> int | None:
        """How many take part in a run of the people with a role; None where the card does not say."""
        return self.enrolled if role == "train" else self.held_out

    def unsigned(self) -> bytes:
        """The signed bytes."""
        return self.model_copy(update={"signature": ""}).canonical()


def read_cards(paths: Sequence[Path], roster: Roster) -> list[NodeCard]:
    """Read node cards, check their signatures, and that all agree on what their data have in common.

    Raises:
        InputError: A card is missing, not signed by its node, repeated, or declares other data than the rest.
    """
    cards: dict[int, NodeCard] = {}
    for path in paths:
        card = NodeCard.load(path)
        if card.node in cards:
            raise InputError(f"is a second card of node {card.node}", where=path, cure="give one card per node")
        try:
            key = bytes.fromhex(roster.member(card.node).signing_key)
        except KeyError:
            raise InputError(
                f"node {card.node} is not on the roster", where=path, cure="use this consortium's cards"
            ) from None
        try:
            verify(key, messages.node_card(card.unsigned()), bytes.fromhex(card.signature), where=path)
        except IntegrityError as error:
            cure = "where its institution has another key since, have it run `afml prepare` with its present kit"
            raise IntegrityError(error.problem, where=path, cure=cure) from None
        cards[card.node] = card
    declared: dict[DataAgreement, list[int]] = {}
    for card in cards.values():
        declared.setdefault(card.data, []).append(card.node)
    if len(declared) > 1:
        sides = "; ".join(f"nodes {nodes}: {data.named}, {data.features} features" for data, nodes in declared.items())
        raise InputError(
            f"the institutions disagree on their data ({sides})",
            where="cards",
            cure="run `afml prepare` everywhere with the same panel, exclusions and site count, or the same schema",
        )
    return [cards[node] for node in sorted(cards)]
