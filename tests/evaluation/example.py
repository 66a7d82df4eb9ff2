"""A report and its details with every key, made up."""

from __future__ import annotations

from typing import Any

from afml.evaluation.details import Details
from afml.evaluation.report import Report

EXAMPLE: dict[str, Any] = {
    "data": {"kind": "simulated", "people": 2000, "panel": 500, "sites": 1024, "nodes": 5},
    "privacy": {
        "unit": "person", "insecure": False, "epsilon": 3.87, "delta": 1e-5, "ple_sigma": 0.9, "ple_at_delta": 0.9,
        "ple_sigma_fixed_plan": 0.84, "noise": "distributed", "epsilon_if_aggregation_broken": 9.1,
        "audited_ple_lower": None,
    },
    "federation": {
        "rounds": 20, "parameters": 1024, "bytes_up_per_round": 33012, "bytes_up_per_parameter": 32.2,
        "seconds_per_round": 0.3, "aggregator_rss_mb": 93.0,
    },
    "release": {
        "rr": 0.004, "rr_ci95": [0.002, 0.008], "rr_by_attack": {"masker-aware": 0.004, "kinship": 0.001},
        "rr_known_institution": 0.02, "candidates": 2000, "chance": 0.0005,
        "utility_auc": 0.8, "raw_auc": 0.75,
        "utility_ratio": 1.07, "utility_ratio_chance_corrected": 1.2, "utility_ratio_vs_best_raw": 0.97,
        "min_group_size": 20, "patterns": 10, "entropy_bits": 3.1, "retained_fraction": 0.0008,
        "method": "codebook", "dp": False,
    },
    "baselines": [{"name": "random masking", "matched": "utility", "rr": 1.0, "utility_ratio": 1.0}],
    "rr_reduction_vs_random": 0.996,
    "phenotype": {"simulated": True, "causal_sites": 10, "heritability": 0.5, "seed": 1},
    "seconds": {"evaluation": 30.0},
    "versions": {"afml": "0.1.0"},
}  # fmt: skip

DETAILS: dict[str, Any] = {
    "phenotypes": [
        {
            "auc": 0.8, "raw_auc": 0.75, "best_raw_auc": 0.82, "utility_ratio": 1.07,
            "utility_ratio_chance_corrected": 1.2,
            "calibration": {"brier": 0.19, "brier_of_rate": 0.25, "slope": None},
            "raw_calibration": {"brier": 0.21, "brier_of_rate": 0.25, "slope": 0.62},
            "scan": {"threshold": 5e-5, "raw_hits": 59, "released_hits": 7, "shared_hits": 4, "false_hits": 3,
                     "effect_correlation": 0.9},
            "if_released": {"homogeneous_share": 0.06, "distinct_diversity": 1, "entropy_diversity": 1.0,
                            "smallest_class": 1, "group_guess": 0.74, "file_guess": 0.52},
        }
    ],
    "traits": [{"r2": 0.1, "raw_r2": 0.2, "r2_ratio": 0.5}],
    "frequencies": {"mean_error": 0.43, "within_one_percent": 0.0, "correlation": None, "panel_mean_error": 0.014,
                    "sites_without_calls": 2},
    "membership": {"auc": 0.519, "tpr_at_low_fpr": 0.012, "fpr": 0.01, "auc_by_attack": {"own pattern": 0.519},
                   "tpr_by_attack": {"own pattern": 0.012}, "members": 2000, "non_members": 500, "ci95": [0.5, 0.54]},
    "genotype": {
        "people": 400,
        "sites": [
            {"site": 4, "shown": 0.1, "panel_accuracy": 0.868, "release_accuracy": 0.888, "withheld_gain": 0.01,
             "bits": 0.1},
            {"site": 9, "shown": 0.0, "panel_accuracy": 0.99, "release_accuracy": 0.985, "withheld_gain": 0.0,
             "bits": 0.0},
        ],
    },
    "population": [
        {"factor": 1, "candidates": 2000, "chance": 0.0005, "rr": 0.005, "ci95": [0.002, 0.009],
         "by_attack": {"likelihood": 0.005}},
        {"factor": 10, "candidates": 20000, "chance": 0.00005, "rr": 0.0005, "ci95": [0.00002, 0.003],
         "by_attack": {"likelihood": 0.0005}},
    ],
    "harder": {
        "relatives": [
            {"degree": 1, "kinship": 0.25, "candidates": 2000, "chance": 0.0005, "rr": 0.003, "ci95": [0.001, 0.006],
             "by_attack": {"likelihood": 0.003, "kinship": 0.001}},
        ],
        "groups": {
            "inferred": False, "mean_rr": 0.005, "ratio": 2.4,
            "groups": [
                {"name": "AFR", "people": 600, "rr": 0.012, "ci95": [0.005, 0.02], "rr_known_institution": 0.03,
                 "rr_known_institution_ci95": [0.018, 0.045],
                 "membership": {"auc": 0.53, "ci95": [0.5, 0.56], "members": 600, "non_members": 130}},
                {"name": "EUR", "people": 1400, "rr": 0.001, "ci95": [0.0, 0.004], "membership": None},
            ],
        },
        "recovery": {"people": 400, "accuracy": 0.613, "panel_accuracy": 0.608, "most_of_one": 0.04,
                     "accuracy_by_attack": {"inversion": 0.613, "imputation": 0.61}},
        "again": {"name": "greedy codebook", "patterns": 78, "smallest_group": 1, "matched": 0.02,
                  "matched_by_chance": 0.0025, "rr": 0.031, "ci95": [0.02, 0.04], "by_attack": {"likelihood": 0.031}},
    },
    "audit": {
        "instrument": "one-run canaries (f-DP)", "observer": "sees the decrypted sum of every round", "phase": "risk",
        "rounds": 20, "repeats": 1, "canaries": 1024, "guesses": [204, 210], "correct": [160, 161], "confidence": 0.95,
        "ple_attacked": 0.856, "ple_ceiling": 1.43,
        "power": [{"noise": 0.7, "found": 0.05}, {"noise": 0.5, "found": 0.97}],
    },
}  # fmt: skip


def with_release(**changes: Any) -> Report:
    return Report.model_validate(EXAMPLE | {"release": EXAMPLE["release"] | changes})


def mixed() -> Details:
    """Gout, and asthma which is served worse and whose groups share it more; two traits, one not comparable."""
    gout = DETAILS["phenotypes"][0] | {"name": "gout"}
    exposed = gout["if_released"] | {"homogeneous_share": 0.31}
    asthma = gout | {"name": "asthma", "utility_ratio": 0.91, "if_released": exposed}
    asthma["calibration"] = gout["calibration"] | {"brier": 0.177}
    traits = [
        {"name": "height", "r2": 0.1, "raw_r2": 0.2, "r2_ratio": 0.5},
        {"name": "luck", "r2": 0.03, "raw_r2": 0.001, "r2_ratio": None, "comparable": False},
    ]
    return Details.model_validate(DETAILS | {"phenotypes": [gout, asthma], "traits": traits})
