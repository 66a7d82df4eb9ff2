"""The card of a package, for programs and for people: what it is good for and what not, and what protects whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from afml.release.package.book import Book
from afml.release.package.manifest import Manifest
from afml.release.package.stated import stated
from afml.release.package.traits import TraitsOfPeople, told_for_certain
from afml.release.plan import ReleasePlan

CARD_FILE, PAGE_FILE = "release_card.json", "release_card.md"
COST = (
    "Everybody who knows a person's traits looks among the records that show them alone, and k is counted there: at "
    "least k people share the pattern and all released traits. k does not protect the traits: where all who show a "
    "pattern are of one class, whoever knows what a person shows knows the class. No differential privacy protects "
    "released traits, and no privacy budget counts them."
)


@dataclass(frozen=True, eq=False)
class Contents:
    """What is in a package, in the order of its records.

    Attributes:
        patterns: What each record shows: a number of the plan, [records].
        people: Released traits.
        book: The codebook.
    """

    patterns: NDArray[np.int64]
    people: TraitsOfPeople
    book: Book

    def groups(self) -> NDArray[np.int64]:
        """People who share pattern and released traits: the size of each group that there is."""
        pairs = np.stack([self.patterns, self.people.alike()], axis=1)
        return np.unique(pairs, axis=0, return_counts=True)[1].astype(np.int64)


def release_card(
    manifest: Manifest, plan: ReleasePlan, contents: Contents, uses: tuple[str, Sequence[str]], told: Mapping[str, Any]
) -> dict[str, Any]:
    """The card, JSON values; everything in it is public or follows from the files of the package.

    Args:
        manifest: Says whose release it is; its digests are not read.
        plan: Of the release.
        contents: Of the package.
        uses: What it is made for, and what it is not good for, in words.
        told: Further values: `sites`, `masked`, and `model` on what training cost.
    """
    groups, people = contents.groups(), contents.people
    sizes = np.bincount(contents.patterns, minlength=len(contents.book.shows))
    return {
        "format": "afml card 1",
        "consortium": manifest.consortium,
        "institution": manifest.origin,
        "run": manifest.run,
        "version": manifest.version,
        "release": manifest.release,
        "people": len(contents.patterns),
        **told,
        "method": plan.method,
        "reason": plan.reason,
        "good_for": uses[0],
        "at_chance": plan.at_chance or None,
        "not_for": list(uses[1]),
        "k": plan.min_group_size,
        "smallest_group": int(groups.min()),
        "groups": len(groups),
        "named_at_most": round(len(groups) / len(contents.patterns), 6),
        "attacked_on_public_people": [{"patterns": patterns, "rr": rr} for patterns, rr in plan.verified],
        "expected_correlation": [round(value, 4) for value in plan.expected],
        "codebook": [_pattern(contents.book, number, int(size)) for number, size in enumerate(sizes)],
        "phenotypes": _phenotypes(contents) if people.traits else None,
        "utility": [
            one.to_json()
            for one in stated(people, contents.book.scores([t.trait.name for t in people.traits], contents.patterns))
        ],
    }  # fmt: skip


def _pattern(book: Book, number: int, people: int) -> dict[str, Any]:
    told = zip(book.names, book.mean[number].tolist(), book.deviation[number].tolist(), strict=True)
    scores = {name: {"mean": mean, "sd": deviation} for name, mean, deviation in told}
    return {"pattern": number, "shows": book.shows[number], "people": people, "scores": scores}


def _phenotypes(contents: Contents) -> dict[str, Any]:
    people = contents.people
    told = [
        {
            "name": one.name,
            "kind": one.trait.kind,
            "edges": list(one.edges),
            "told": list(one.told),
            "told_for_certain": round(told_for_certain(contents.patterns, people.classes[:, at]), 4),
        }
        for at, one in enumerate(people.traits)
    ]
    combinations = int(people.alike().max()) + 1
    shown = len(np.unique(contents.patterns))
    return {
        "traits": told,
        "combinations": combinations,
        "named_by_traits_alone": round(combinations / len(contents.patterns), 6),
        "named_by_genotypes_alone": round(shown / len(contents.patterns), 6),
        "cost": COST,
    }


def page(card: Mapping[str, Any]) -> str:
    """The card as a page, Markdown."""
    lines = [
        f"# Release {card['version']} of run {card['run']}", "",
        f"Consortium {card['consortium']}, institution `{card['institution']}`. {card['people']} people, "
        f"{card['sites']} columns, in {sum(one['people'] > 0 for one in card['codebook'])} patterns; the records are "
        f"`{card['release'][:12]}`.", "",
        *([f"**Released although {card['at_chance']}.**", ""] if card["at_chance"] else []),
        f"**{'Made' if card['at_chance'] else 'Good'} for:** {card['good_for']}. Every record says of these what its "
        "pattern does (below); learn from that, not from the columns.", "",
        f"**Not for:** {'; '.join(card['not_for'])}.", "",
        f"A masked value is {card['masked']}.", "",
        "## What protects people", "",
        f"- **k = {card['k']}.** {_group(card)} The smallest group has {card['smallest_group']} people. Whatever "
        f"somebody knows of people, from this package alone the right person is named for "
        f"{100 * card['named_at_most']:.3g} % of its records at most ({card['groups']} groups over people).",
        f"- Records are protected by masking and groups, not by differential privacy. {card['model']}",
    ]  # fmt: skip
    lines += [
        f"- Before any record was made, attacks on public people named {100 * one['rr']:.2g} % with {one['patterns']} "
        "patterns."
        for one in card["attacked_on_public_people"]
    ]
    lines.append("- What attacks reach on these very people (`afml evaluate --own`) stays at the institution.")
    lines += ["", "## Traits", "", *_traits(card), "", "## What each pattern says", "", *_codebook(card)]
    return "\n".join(lines) + "\n"


def _group(card: Mapping[str, Any]) -> str:
    if card["phenotypes"] is None:
        return f"At least {card['k']} people of the file show each pattern."
    return f"At least {card['k']} people of the file share each pattern together with all released traits."


def _traits(card: Mapping[str, Any]) -> list[str]:
    told = card["phenotypes"]
    if told is None:
        return ["No trait of anybody is in this package: what a record says of traits is its pattern's score."]
    alone, genotypes, both = (
        f"{100 * value:.3g} %"
        for value in (told["named_by_traits_alone"], told["named_by_genotypes_alone"], card["named_at_most"])
    )
    cost = (
        f"Somebody who knows these traits of everybody, and nothing else, guesses right for {alone} of the records "
        f"({told['combinations']} combinations over people); who has everybody's genotypes as well, for {both} at "
        f"most, and who has genotypes alone, for {genotypes} at most."
    )
    lines = [
        told["cost"],
        "",
        cost,
        "",
        "| trait | in phenotypes.tsv | given away by the pattern alone |",
        "|---|---|---|",
    ]
    lines += [
        f"| {one['name']} | {_told(one)} | {100 * one['told_for_certain']:.3g} % of people |" for one in told["traits"]
    ]
    lines += [
        "",
        "What `README.md` reproduces from this package alone:",
        "",
        "| trait | measure | value | 95 % interval |",
    ]
    lines += ["|---|---|---|---|", *map(_utility, card["utility"])]
    return lines


def _told(one: Mapping[str, Any]) -> str:
    if not one["edges"]:
        return "0 and 1"
    edges, told = (", ".join(f"{value:g}" for value in one[name]) for name in ("edges", "told"))
    return f"bins from {edges}, told as {told}"


def _utility(one: Mapping[str, Any]) -> str:
    measure = f"{'AUC' if one['measure'] == 'auc' else 'R^2'} on {one['tested_on']} of the records"
    if one["value"] is None:
        return f"| {one['trait']} | {measure} | too few people tell | |"
    low, high = one["ci95"]
    return f"| {one['trait']} | {measure} | {one['value']:.3f} | {low:.3f} to {high:.3f} |"


def _codebook(card: Mapping[str, Any]) -> list[str]:
    names = list(card["codebook"][0]["scores"])
    lines = [
        "Mean and standard deviation of the model's score among the public people who take a pattern; of a binary "
        "trait in log-odds about the mean, of a number in units of two declared spreads.", "",
        "| pattern | people | shows | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|",
    ]  # fmt: skip
    for one in card["codebook"]:
        scores = (f"{told['mean']:.3g} ± {told['sd']:.2g}" for told in one["scores"].values())
        lines.append(
            f"| {one['pattern']} | {one['people']} | {one['shows'] or 'nothing'} | " + " | ".join(scores) + " |"
        )
    return lines
