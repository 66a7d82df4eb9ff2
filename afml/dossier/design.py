"""What the page and the forms say is so "by design": where it is written, which test holds it, where it is argued.

That is the makers' word, and no evidence of a run shows it. So that somebody else can look, a dossier names the file
that is meant with its digest as installed, that of the release where a manifest was given, and those of test and note
where the repository is at hand.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup, escape

from afml.dossier.collector import Collector
from afml.operate.installed import PACKAGES

MARK = "◆"
"""Stands before "by design" wherever it is read."""


class Design(NamedTuple):
    """Something that the makers say of their code.

    Attributes:
        words: It, after "by design".
        code: File of the packages in which it is written.
        test: A test of it, in the repository: FILE::NAME.
        note: Where it is argued, in the repository.
    """

    words: str
    code: str
    test: str
    note: str


DESIGN: dict[str, Design] = {
    "clipping": Design(
        "all that a person adds to an institution's sum is clipped together", "afml/training/clipping.py",
        "tests/training/test_clipping.py::test_one_more_person_moves_the_sum_by_at_most_the_bound", "docs/TRAINING.md",
    ),
    "opacus": Design(
        "the library Opacus makes gradients of single rows (its LSTM is the identifier's), or for ghost clipping their "
        "norms, composes for the accountant PRV and gives the divergences of RDP; its optimiser, with clipping, noise "
        "and division, and its draws of batches are not used", "afml/training/clipping.py",
        "tests/training/test_ghost.py::test_the_sum_is_that_of_gradients_clipped_one_by_one", "docs/TRAINING.md",
    ),
    "noise": Design(
        "institutions add noise to their own sums, and honest ones alone carry what is accounted",
        "afml/privacy/noise.py",
        "tests/statistical/test_noise.py::test_without_the_attackers_nodes_at_least_the_accounted_noise_is_left",
        "docs/design/noise.md",
    ),
    "draws": Design(
        "who is in a round that draws people each institution draws afresh, from the operating system's randomness",
        "afml/training/step.py",
        "tests/statistical/test_adjacency.py::test_every_attempt_draws_its_own_batch_and_noise", "docs/PRIVACY.md",
    ),
    "fresh": Design(
        "where a run names no seed, its noise is drawn afresh in every attempt, from the operating system's randomness",
        "afml/training/step.py",
        "tests/statistical/test_adjacency.py::test_every_attempt_draws_its_own_batch_and_noise", "docs/design/noise.md",
    ),
    "rounding": Design(
        "what leaves is rounded at random to integers, after the noise", "crypto/public/grid.py",
        "tests/statistical/test_noise.py::test_rounding_to_the_grid_is_unbiased", "docs/design/bits.md",
    ),
    "encryption": Design(
        "updates are encrypted before they leave; as far as that holds, key and traffic open a sum and no update",
        "crypto/ckks/codec.py",
        "tests/crypto/test_collusion.py::test_with_pads_key_and_traffic_reveal_nothing", "docs/design/blind-sums.md",
    ),
    "blind": Design(
        "the aggregator adds ciphertexts by code that reaches no key", "crypto/public/blind.py",
        "tests/crypto/test_blind.py::test_the_public_half_loads_no_key_code_and_no_he_library",
        "docs/design/blind-sums.md",
    ),
    "times": Design(
        "times of messages and of computation are not hidden from who sees traffic or machines",
        "aggregator/transcript.py",
        "tests/dossier/test_beside.py::test_when_each_round_was_published_stands_in_the_transcript",
        "docs/THREAT_MODEL.md",
    ),
    "size": Design(
        "an update has one size, whatever is in it", "crypto/public/payload.py",
        "tests/aggregator/test_admission.py::test_oversize_and_other_parameters_are_rejected", "docs/THREAT_MODEL.md",
    ),
    "spend": Design(
        "an update is sent with the receipt of a spend that its ledger holds, and within a plan that was set aside",
        "node/sender.py", "tests/ledger/test_plans.py::test_nothing_is_spent_that_was_not_set_aside",
        "docs/design/guarantee.md",
    ),
    "limit": Design(
        "a plan that does not fit what its people may still spend is refused", "afml/ledger/plans.py",
        "tests/ledger/test_plans.py::test_a_plan_that_cannot_end_does_not_begin", "docs/design/ledger.md",
    ),
    "looser": Design(
        "a policy that allows more than the one before it is told in the ledger as looser", "node/loosening.py",
        "tests/federation/test_policy.py::test_looser_is_one_sided", "docs/design/guarantee.md",
    ),
    "filter": Design(
        "runs that were chosen after earlier results are charged by a filter", "afml/privacy/budget.py",
        "tests/ledger/test_plans.py::test_the_stated_value_is_the_filters_and_the_fixed_plan_stands_beside_it",
        "docs/PRIVACY.md",
    ),
    "accountant": Design(
        "what counts as spent is said by the first of closed form, PRV and RDP that can hold it",
        "afml/privacy/accountant.py",
        "tests/privacy/test_accountants.py::test_the_tightest_that_holds_the_events_is_asked", "docs/PRIVACY.md",
    ),
    "trust": Design(
        "a node counts on the noise of those institutions alone whose keys its own policy lists; where a sum may hold "
        "too few of them it charges its people as if updates were read, or refuses the run", "node/policy.py",
        "tests/federation/test_policy.py::test_members_that_the_coordinator_made_up_do_not_count",
        "docs/THREAT_MODEL.md",
    ),
    "keys": Design(
        "each party makes its own private keys, and the coordinator is sent none", "afml/consortium/ownkeys.py",
        "tests/crypto/test_ownkeys.py::test_no_private_key_ever_reaches_the_coordinator", "docs/THREAT_MODEL.md",
    ),
    "connections": Design(
        "a connection in a party's name takes a certificate of the roster's authority, and every message that counts "
        "also the party's own signing key", "aggregator/admission.py",
        "tests/federation/test_probes.py::test_what_others_signed_is_worth_nothing_in_another_mouth",
        "docs/THREAT_MODEL.md",
    ),
    "ledger": Design(
        "who edits a ledger is found by what others keep of its heads", "afml/ledger/witness.py",
        "tests/ledger/test_witness.py::test_institutions_countersign_growth_and_refuse_forks_and_rollbacks",
        "docs/design/ledger.md",
    ),
    "names": Design(
        "people stand in a ledger under a keyed code, and by no name", "afml/ledger/people.py",
        "tests/ledger/test_people.py::test_no_person_id_is_anywhere_on_disk", "docs/design/ledger.md",
    ),
    "sums": Design(
        "members find out before the next spend where a sum was bent for some of them", "node/agreement.py",
        "tests/federation/test_bent_sums.py::test_everybody_finds_out_before_the_next_spend",
        "docs/design/guarantee.md",
    ),
    "memory": Design(
        "an older copy of a ledger is refused where others or the work folder know of more", "node/memory.py",
        "tests/federation/test_memory.py::test_a_deleted_ledger_is_refused_before_any_spend_and_restored",
        "docs/design/ledger.md",
    ),
    "withdrawal": Design(
        "who withdraws is spent on no more, and what was spent stays", "afml/ledger/people.py",
        "tests/ledger/test_people.py::test_withdrawn_people_leave_future_events_and_their_spend_stays",
        "docs/design/ledger.md",
    ),
    "withdrawal-release": Design(
        "the ledger refuses a release in which somebody is who has withdrawn", "afml/ledger/releases.py",
        "tests/ledger/test_releases.py::test_a_release_leaves_withdrawn_people_out", "docs/THREAT_MODEL.md",
    ),
    "columns": Design(
        "a released file names nobody: columns are permuted and named afresh", "afml/genomics/release.py",
        "tests/genomics/test_release.py::test_columns_are_permuted_and_named_afresh", "docs/RELEASE.md",
    ),
    "own-record": Design(
        "a record shows genotypes that its person has, or withholds them", "afml/release/released.py",
        "tests/release/test_methods.py::test_a_person_shows_only_what_the_own_record_holds", "docs/RELEASE.md",
    ),
    "model": Design(
        "the model that is kept is what its rounds made, bit for bit", "afml/training/inprocess.py",
        "tests/federation/test_run.py::test_the_federation_equals_the_in_process_reference_bit_for_bit",
        "docs/TRAINING.md",
    ),
    "overlap": Design(
        "who looks for shared people learns which of its own another institution has enrolled too; who answers learns "
        "that it was asked, and about how many",
        "node/overlap.py",
        "tests/federation/test_overlap.py::test_people_at_two_institutions_are_found_by_the_later_one",
        "docs/design/overlap.md",
    ),
    "left-out": Design(
        "who is left out is in an institution's prepared data no more, of which training and files are made",
        "afml/data/persons.py",
        "tests/federation/test_overlap.py::test_the_list_is_what_prepare_takes", "docs/design/overlap.md",
    ),
    "exact": Design(
        "integers of exact noise are distributed as rounded real numbers would be", "crypto/public/exactnoise.py",
        "tests/crypto/test_exactnoise.py::test_integers_have_their_probabilities", "docs/design/noise.md",
    ),
    "check-value": Design(
        "a node refuses a sum whose check value is not that of what it opened", "crypto/secret/sumcheck.py",
        "tests/crypto/test_sumcheck.py::test_no_bent_sum_is_verified", "docs/design/verified-sums.md",
    ),
    "attackers": Design(
        "attacks are given the files, the model's plan, the public panel and a genotyping of every candidate",
        "afml/evaluation/attacks/base.py",
        "tests/evaluation/attacks/test_contract.py::test_unmasked_records_are_all_found", "docs/EVALUATION.md",
    ),
}  # fmt: skip


ONLY_OF = {
    "exact": "run.exact_noise", "check-value": "run.verified_sums", "overlap": "overlap.parts",
    "left-out": "overlap.parts",
}  # fmt: skip
"""Claims that are made of a run alone that has what a statement tells: elsewhere they would read as in force."""


def marked(text: str) -> Markup:
    """A text as HTML, with the mark wherever it says "by design", which leads to where the page lists all of it."""
    link = rf'<a class="design" href="#design">{MARK} \1</a>'
    return Markup(re.sub(r"\b(by design)\b", link, str(escape(text)), flags=re.IGNORECASE))


def recorded(files: Mapping[str, str], released: Mapping[str, str] | None, root: Path) -> dict[str, dict[str, str]]:
    """What software.json says of each: code, test and note, with the digests that can be had.

    Args:
        files: File of the packages -> SHA-256 as installed, hex.
        released: The same by the manifest of the release; None without one.
        root: Folder that holds the packages: of a checkout also tests and notes.
    """
    found = {}
    for name, one in DESIGN.items():
        said = {"code": one.code, "sha256": files[one.code], "test": one.test, "note": one.note}
        if released is not None and one.code in released:
            said["released"] = released[one.code]
        for kind, place in (("test", one.test.partition("::")[0]), ("note", one.note)):
            if (root / place).is_file():
                said[f"{kind}_sha256"] = hashlib.sha256((root / place).read_bytes()).hexdigest()
        found[name] = said
    return found


def commit(root: Path) -> str | None:
    """The commit that a checkout's packages are of; None where they are of none: installed, or edited since."""
    if not (root / ".git").exists():
        return None
    commands = ["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--", *PACKAGES]
    try:
        head, edited = (
            subprocess.run(words, cwd=root, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
            for words in commands
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return None if edited else head


def designed(c: Collector) -> None:
    """Statements of what software.json says of each."""
    said = c.document("software.json").get("design", {})
    for name, one in DESIGN.items():
        if name not in said or (name in ONLY_OF and not c.value(ONLY_OF[name])):
            continue
        at, words = f"/design/{name}", f"by design, {one.words}: SHA-256 of {one.code}"
        c.file(f"design.{name}", "software.json", f"{at}/sha256", "", f"{words} where this was made")
        for kind, of in (
            ("released", f"SHA-256 of {one.code} in the release"),
            ("test_sha256", f"SHA-256 of the file of the test {one.test}"),
            ("note_sha256", f"SHA-256 of {one.note}"),
        ):
            if kind in said[name]:
                c.file(f"design.{name}.{kind.removesuffix('_sha256')}", "software.json", f"{at}/{kind}", "", of)
