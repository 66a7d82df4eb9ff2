"""Statements as a dossier of a small run makes them, without a run: each stands in a made-up file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from afml.dossier.design import DESIGN
from afml.dossier.statements import InFile, Statement, Statements, Value

LEDGER = "1a9ca01d4fe0f948bea0e788e5f064e9"
BUDGET = "budget.7c560c5ff670"
PUBLICATION = f"ledger.{LEDGER}.publication.30"

#: Units by the values that have them; an id stands once.
SAID: Mapping[str, Mapping[str, Value]] = {
    "": {
        **{f"design.{name}": "d5" * 32 for name in DESIGN if name != "accountant"},  # the page alone speaks of that
        f"{PUBLICATION}.met": "group size", f"{PUBLICATION}.missed": "re-identification rate",
        "consortium.name": "walk", "consortium.authority": "a7" * 32, "utility.ratio_corrected": 0.88,
        "consortium.roster_digest": "d3" * 32, "institution.1.name": "Institute <A> & Co",
        "institution.2.name": "Institute B", "institution.3.name": "Institute C", "run.name": "first",
        "run.data_kind": "genotypes", "run.data_fingerprint": "6b" * 32, "run.noise": "distributed",
        "run.backend": "ckks", "run.task": "masking",
        "run.task_version": "0.1.0", "run.seed": None, "run.key_agreement": "x25519-mlkem768",
        "run.verified_sums": True, "run.budget.delta": 1e-05, "privacy.delta": 1e-05, f"{BUDGET}.delta": 1e-05,
         "release.fill": "missing",
        "release.method": "codebook", "release.dp": False, "utility.released": 0.8086, "utility.raw": 0.8482,
        "utility.ratio": 0.9533, "phenotype.simulated": True, "membership.auc": 0.5376, "membership.auc_low": 0.51,
        "membership.auc_high": 0.56, "membership.auc_width": 0.05, "run.digest": "d1" * 32,
        f"ledger.{LEDGER}.policy.0.short_of_trust": "charge", "again.name": "greedy codebook", "groups.inferred": True,
        "groups.worst_ratio": 1.48, "groups.worst_known_ratio": 1.3,
        "disclosure.phenotype.entropy_diversity": 1.25, "utility.ratio_low": 0.93, "utility.ratio_high": 0.99,
        "utility.ratio_vs_best_raw": 0.91, "disclosure.phenotype.best_raw_auc": 0.87,
        f"ledger.{LEDGER}.policy.0.approval": False, f"ledger.{LEDGER}.audit.29.instrument": "declared run",
        "groups.ratio_by_chance": 2.5, "group.cluster-1.auc": 0.58, "group.cluster-1.auc_low": 0.51,
        "group.cluster-1.auc_high": 0.65, f"ledger.{LEDGER}.policy.0.simulation": False,
        "data.kind": "simulated", "code.afml": "0.1.0", "code.afml_digest": "0e" * 32,
        "code.task_digest": "53" * 32, "model.digest": "46" * 32, "software.opacus": "1.6.0",
        "software.tenseal": "0.3.18", "software.dp-accounting": "0.6.0",
        f"ledger.{LEDGER}.root": "a9" * 32, f"ledger.{LEDGER}.verified": True,
        f"ledger.{LEDGER}.release.28.file_digest": "43" * 32, "run.exact_noise": True,
        "audit.instrument": "one-run canaries (f-DP)", "audit.observer": "sees the decrypted sum of every round",
        "audit.phase": "risk", "disclosure.phenotype.released_auc": 0.79, "disclosure.phenotype.raw_auc": 0.8,
        "disclosure.trait.released_r2": 0.1, "disclosure.trait.raw_r2": 0.2,
    },
    "records": {
        "group.cluster-1.people": 655,
        "data.people": 1200, f"ledger.{LEDGER}.release.28.people": 400, "membership.members": 1200,
        "overlap.found": 11, "overlap.left_out": 10,
    },
    "different records": {"release.patterns": 10, f"ledger.{LEDGER}.release.28.patterns": 10},
    "candidates": {"attack.candidates": 1200, "relatives.1.candidates": 1200, "population.10.candidates": 12000},
    "parts": {"overlap.parts": 3},
    "answers": {"overlap.answers": 3},
    "people": {"disclosure.phenotype.smallest_class": 1,
        "run.people": 904, "run.enrolled.1": 292, "run.enrolled.2": 314, "run.enrolled.3": 298,
        f"ledger.{LEDGER}.policy.0.min_group_size": 1,
        "release.k": 20, "release.k_planned": 20,
        f"ledger.{LEDGER}.release.28.smallest_joint_group": 20,
        f"ledger.{LEDGER}.withdrawn": 1, "membership.non_members": 500,
        "recovery.people": 400, "again.smallest_group": 2,
    },
    "institutions": {"run.k": 3, "run.max_colluding": 1, "run.enrolments_per_person": 1, "run.institutions": 3,
                     "report.institutions": 3, f"ledger.{LEDGER}.policy.0.quorum": 1},
    "features": {"run.sites": 1024},
    "made-up people": {"audit.canaries": 1024},
    "guesses": {"audit.guesses.1": 204, "audit.correct.1": 161},
    "repeats": {"audit.repeats": 1},
    "sites": {"frequencies.unseen": 1015, "disclosure.phenotype.raw_hits": 59,
              "disclosure.phenotype.shared_hits": 4, "disclosure.phenotype.false_hits": 3},
    "rounds": {"audit.rounds": 20,
               "run.rounds": 24, "mechanism.risk.rounds": 20, "mechanism.game.rounds": 4, "run.reserve_attempts": 1,
               "transcript.1.last_round": 24},
    "files": {f"ledger.{LEDGER}.releases": 1},
    "share": {
        "genotype.shown.4": 0.1,
        "privacy.drawn_right_at_most": 0.794, "privacy.drawn_sure_90": 0.531, "relatives.1.by.likelihood": 0.002,
        "population.10.by.likelihood": 0.0004, "again.by.likelihood": 0.03, "recovery.most_of_one": 0.08,
        "groups.worst_known": 0.03, "group.cluster-1.among_equals": 0.006,
        "mechanism.risk.sample_rate": 1.0, "mechanism.game.sample_rate": 0.1, "privacy.right_at_most": 0.669,
        "privacy.sure_90": 0.0432, "privacy.sure_99": 0.00002, f"sure_at_limit.{BUDGET[7:]}": 0.15,
        f"sure_if_broken.{BUDGET[7:]}": 0.66, "disclosure.phenotype.homogeneous": 0.0,
        f"ledger.{LEDGER}.audit.29.confidence": 0.995, "group.cluster-1.rr_low": 0.002,
        "group.cluster-1.rr_known_low": 0.01,
        "attack.worst.rr": 0.00475, "attack.worst.rr_low": 0.0022, "attack.worst.rr_high": 0.0089,
        "attack.likelihood.rr": 0.0018, "attack.masker-aware.rr": 0.00475, "attack.known_institution.rr": 0.0227,
        "attack.known_institution.rr_low": 0.016, "attack.known_institution.rr_high": 0.0295,
        "attack.known_institution.chance": 0.0025, "attack.genotype_error": 0.01, "audit.confidence": 0.95,
        "audit.power.85": 0.0, "audit.power.50": 0.97, "grouping.all": 0.005, "grouping.known_institution": 0.025,
        "disclosure.phenotype.group_guess": 0.72, "disclosure.phenotype.file_guess": 0.52,
        "frequencies.mean_error": 0.165, "frequencies.panel_mean_error": 0.013, f"odds_at_limit.{BUDGET[7:]}": 0.726,
        "attack.chance": 0.0008, "release.retained": 0.0007, "membership.tpr": 0.0265, "membership.fpr": 0.01,
        "recovery.accuracy": 0.585, "recovery.panel_accuracy": 0.583, "group.cluster-1.rr": 0.007,
        "group.cluster-1.rr_high": 0.017, f"ledger.{LEDGER}.reassessment.29.rr": 0.006,
        f"{PUBLICATION}.asked.re-identification-rate": 0.01, "relatives.1.rr": 0.002, "relatives.1.rr_high": 0.004,
        "population.10.rr": 0.0004, "population.10.rr_high": 0.002, "again.rr": 0.03, "again.rr_low": 0.02,
        "again.rr_high": 0.04, "again.matched": 0.02, "again.matched_by_chance": 0.0025,
        "group.cluster-1.rr_known": 0.03, "group.cluster-1.rr_known_high": 0.05,
    },
    "L2": {"mechanism.risk.clip_norm": 1.0, "mechanism.game.clip_norm": 1.0},
    "clip norms": {"mechanism.risk.noise_multiplier": 5.2228, "mechanism.game.noise_multiplier": 1.4302},
    "numbers": {"mechanism.risk.parameters": 1025, "mechanism.game.parameters": 35195},
    "bits": {"run.bits": 11, "release.entropy_bits": 3.09},
    "entries": {f"ledger.{LEDGER}.entries": 29, f"ledger.{LEDGER}.countersigned_at.institute-b": 28},
    "sigma": {"privacy.drawn_ple": 1.64, "privacy.ple": 0.875,
              "privacy.audited_ple": 0.4762, "audit.attacked_ple": 0.8563,
              f"ledger.{LEDGER}.audit.29.audited_ple": 0.7862,
              "run.budget.ple": 0.9, f"{BUDGET}.limit": 1.2,
              f"{BUDGET}.spent_ple": 0.875, f"{BUDGET}.left": 0.82},
    "epsilon": {"privacy.epsilon": 3.752795749526758, "accountant.pld.epsilon": 3.7523,
                "accountant.prv.epsilon": 3.7528, f"{BUDGET}.broken_epsilon": 9.0567},
    "ms since 1970": {"transcript.1.published": 1795797082739},
}  # fmt: skip


def statements(*, without: Iterable[str] = (), **other: Value) -> Statements:
    """All of them, some left out, some with another value (`run__noise="local"` is run.noise)."""
    left, changed = set(without), {name.replace("__", "."): value for name, value in other.items()}
    return Statements(
        Statement(name, changed.get(name, value), unit, "said", InFile("run.json", "00" * 32, f"/{name}"))
        for unit, values in SAID.items()
        for name, value in values.items()
        if name not in left
    )
