"""Fields of run.json, accounting.json, entries, report.json and details.json that statements are made of.

Each is (id, JSON pointer, unit, words), or of entries (field, unit, words).
"""

RUN = (
    ("run.name", "/run", "", "name of the run"),
    ("run.sites", "/data/features", "features", "features a person has in the run (sites, of genotypes)"),
    ("run.data_kind", "/data/kind", "", "kind of data"),
    ("run.data_fingerprint", "/data/fingerprint", "", "digest of what all institutions' data have in common"),
    ("run.k", "/quorum", "institutions", "fewest institutions whose updates are in a published sum"),
    (
        "run.max_colluding",
        "/max_colluding",
        "institutions",
        "institutions that may be in league with the aggregator and the bound still holds",
    ),
    ("run.noise", "/noise", "", "who adds the noise"),
    ("run.backend", "/backend", "", "how updates are hidden in the sum"),
    ("run.task", "/task/kind", "", "what was trained"),
    ("run.task_version", "/task/version", "", "version of the task"),
    ("run.budget.delta", "/budget/delta", "", "delta of the run's own limit"),
    ("run.budget.ple", "/budget/ple_sigma", "sigma", "the run's own limit for a person"),
    ("run.budget.epsilon", "/budget/epsilon", "epsilon", "the run's own limit for a person, in epsilon"),
    (
        "run.enrolments_per_person",
        "/enrolments_per_person",
        "institutions",
        "institutions one person may be enrolled at",
    ),
    ("run.phenotypes", "/task/settings/risk/phenotypes", "phenotypes", "of a person, which the model is trained on"),
    ("run.reserve_attempts", "/reserve_attempts", "rounds", "lost attempts a phase that the plan has room for"),
    ("run.bits", "/bits", "bits", "bits of one number of a sum"),
    ("run.key_agreement", "/key_agreement", "", "how institutions agree on the keys of the run"),
    ("run.verified_sums", "/verified_sums", "", "whether the plan asks that every sum carry a check value"),
    ("run.exact_noise", "/exact_noise", "", "whether the plan asks for noise of the kind whose distribution is proven"),
    ("run.public_part", "/public_part", "", "whether the plan has a part on the public panel, which spends nothing"),
    ("run.panel", "/data/panel", "", "digest of the public panel that the plan names"),
    ("run.seed", "/seed", "", "seed of a simulation, which protects nobody; null: none"),
    ("release.method_planned", "/task/settings/release/method", "", "how records are to be released"),
    ("release.k_planned", "/task/settings/release/min_group_size", "people", "least group that shares one record"),
    ("attack.genotype_error", "/task/settings/game/genotype_error", "share", "errors of an attacker's own genotyping"),
    ("release.fill", "/task/settings/release/fill", "", "what is written where a genotype is withheld"),
)


BUDGET = (
    ("spent_ple", "/spent/ple_sigma", "sigma", "what the one of them who has spent most has spent at most"),
    ("spent_epsilon", "/spent/epsilon", "epsilon", "the same as epsilon at that delta"),
    (
        "committed",
        "/committed",
        "{unit}",
        "what a further run finds taken: of runs that are over full batches as they ran and batches that were drawn as "
        "planned, lost attempts that did not occur included; of open runs the whole plan",
    ),
    ("broken_ple", "/broken/ple_sigma", "sigma", "what was spent if aggregation was broken"),
    ("broken_epsilon", "/broken/epsilon", "epsilon", "the same as epsilon"),
    (
        "drawn_ple",
        "/drawn/ple_sigma",
        "sigma",
        "what was spent if it is known who was drawn into rounds that draw people",
    ),
    ("drawn_epsilon", "/drawn/epsilon", "epsilon", "the same as epsilon"),
    ("spent_accountant", "/spent/accountant", "", "accountant by which that is what was spent"),
    ("committed_accountant", "/committed_by", "", "accountant by which that is what is taken"),
    ("broken_accountant", "/broken/accountant", "", "accountant by which that was spent if aggregation was broken"),
)


POLICY = (
    ("lifetime_ple", "/policy/lifetime/ple_sigma", "sigma", "lifetime budget"),
    ("approval", "/policy/run/approval", "", "a person must approve each run"),
    ("verified_sums", "/policy/run/verified_sums", "", "a run must ask for a check value of every sum"),
    ("exact_noise", "/policy/run/exact_noise", "", "a run must ask for noise of the kind whose distribution is proven"),
    ("short_of_trust", "/policy/trust/short_of_trust", "", "what it does where too few of a sum are trusted"),
    ("simulation", "/policy/run/simulation", "", "runs whose noise comes from a seed and is known are allowed"),
    ("quorum", "/policy/run/quorum", "institutions", "fewest in a sum that the policy allows"),
    ("min_group_size", "/policy/release/min_group_size", "people", "least group of a release that the policy allows"),
    ("target_rr", "/policy/release/target_rr", "share", "most linkage of a published file (100 %: no target)"),
)


RELEASE = (
    ("model_digest", "", "the model that planned it"), ("file_digest", "", "the released file"),
    ("people", "records", "records in it"), ("patterns", "different records", "different ones in it"),
    ("min_group_size", "people", "least group that was promised"),
    ("smallest_joint_group", "people", "least group over all files that this ledger knows of the same people"),
)  # fmt: skip
AGAIN = (
    ("rr", "share", "re-identified by the worst attack of that day"),
    ("rr_bound", "share", "most that its groups allow"),
    ("smallest_joint_group", "people", "least joint group by then"), ("promised", "people", "that was promised"),
)  # fmt: skip


REPORT = (
    ("report.made", "/about/made", "", "day on which the report was made, as it says"),
    ("data.kind", "/data/kind", "", "simulated people, or a file (vcf) of people; the report's word"),
    (
        "data.people",
        "/data/people",
        "records",
        "records that were attacked; who is in two files counts twice",
    ),
    ("data.panel", "/data/panel", "people", "people of the public panel; whose genotypes these are it does not say"),
    ("report.scope", "/scope", "", "own: of one institution alone; not there: of all institutions pooled"),
    ("report.institutions", "/data/nodes", "institutions", "institutions whose files it is about"),
    ("overlap.found", "/overlap/found", "records", "found by queries for people at two institutions, to be left out"),
    ("overlap.left_out", "/overlap/left_out", "records", "of these, in the data of their institution no more"),
    ("privacy.reported_ple", "/privacy/ple_sigma", "sigma", "as the report says it"),
    ("privacy.reported_epsilon", "/privacy/epsilon", "epsilon", "as the report says it"),
    ("privacy.audited_ple", "/privacy/audited_ple_lower", "sigma", "least, as an attack on the training established"),
    ("privacy.broken_epsilon", "/privacy/epsilon_if_aggregation_broken", "epsilon", "if aggregation was broken"),
    ("federation.rounds", "/federation/rounds", "rounds", "private rounds that ran"),
    (
        "attack.worst.rr",
        "/release/rr",
        "share",
        "records linked to the right person by the worst attack, institution not known",
    ),
    ("attack.worst.rr_low", "/release/rr_ci95/0", "share", "lower end of its 95 % interval"),
    ("attack.worst.rr_high", "/release/rr_ci95/1", "share", "upper end of its 95 % interval"),
    (
        "attack.known_institution.rr",
        "/release/rr_known_institution",
        "share",
        "the same where the institution is known, by the attack that is worst then",
    ),
    (
        "attack.known_institution.rr_low",
        "/release/rr_known_institution_ci95/0",
        "share",
        "lower end of its 95 % interval",
    ),
    (
        "attack.known_institution.rr_high",
        "/release/rr_known_institution_ci95/1",
        "share",
        "upper end of its 95 % interval",
    ),
    ("attack.known_institution.chance", "/release/chance_known_institution", "share", "right by chance then"),
    ("attack.candidates", "/release/candidates", "candidates", "genotypes among which that of a record is sought"),
    ("attack.chance", "/release/chance", "share", "right by chance"),
    ("release.method", "/release/method", "", "how records were released"),
    ("release.dp", "/release/dp", "", "whether records are differentially private"),
    ("release.k", "/release/min_group_size", "people", "least group found that shares one record"),
    ("release.patterns", "/release/patterns", "different records", "that occur in the files"),
    ("release.entropy_bits", "/release/entropy_bits", "bits", "entropy of the record of a random person"),
    ("release.retained", "/release/retained_fraction", "share", "cells that show a genotype"),
    ("utility.released", "/release/utility_auc", "", "of the release, held-out people"),
    ("utility.raw", "/release/raw_auc", "", "of raw genotypes, the same people"),
    ("utility.measure", "/release/utility_measure", "", "how usefulness is measured, where not as an AUC"),
    ("utility.phenotype", "/release/utility_phenotype", "", "of the phenotypes compared, the one served worst"),
    ("utility.comparable", "/release/utility_comparable", "", "whether raw genotypes predict any of its phenotypes"),
    ("utility.ratio", "/release/utility_ratio", "", "released over raw"),
    ("utility.ratio_low", "/release/utility_ratio_ci95/0", "", "lower end of its 95 % interval"),
    ("utility.ratio_high", "/release/utility_ratio_ci95/1", "", "upper end of its 95 % interval"),
    (
        "utility.ratio_corrected",
        "/release/utility_ratio_chance_corrected",
        "",
        "released over raw, of each what is above a blind guess",
    ),
    ("utility.ratio_vs_best_raw", "/release/utility_ratio_vs_best_raw", "", "released over the best raw model"),
    ("phenotype.simulated", "/phenotype/simulated", "", "whether the phenotype is made up, as the report says"),
)


DETAILS = (
    ("membership.auc", "/membership/auc", "", "telling who is in the file from who is not, worst attack"),
    ("membership.auc_low", "/membership/ci95/0", "", "lower end of its 95 % interval (DeLong)"),
    ("membership.auc_high", "/membership/ci95/1", "", "upper end of its 95 % interval (DeLong)"),
    ("membership.tpr", "/membership/tpr_at_low_fpr", "share", "members named at the rate of false alarms below"),
    ("membership.fpr", "/membership/fpr", "share", "rate of false alarms"),
    ("membership.members", "/membership/members", "records", "records of the files that were asked about"),
    ("membership.non_members", "/membership/non_members", "people", "people of the panel that were asked about"),
    ("recovery.people", "/harder/recovery/people", "people", "people whose genotypes were guessed"),
    ("recovery.accuracy", "/harder/recovery/accuracy", "share", "genotypes of a person named right from the record"),
    ("recovery.panel_accuracy", "/harder/recovery/panel_accuracy", "share", "without the record, from the panel"),
    (
        "recovery.most_of_one",
        "/harder/recovery/most_of_one",
        "share",
        "most that one person loses: named right with it less without it",
    ),
    ("groups.inferred", "/harder/groups/inferred", "", "groups are clusters of genotypes, not given ones"),
    (
        "groups.worst_ratio",
        "/harder/groups/ratio",
        "",
        "worst group's rate over that of everybody, institution not known",
    ),
    (
        "groups.ratio_by_chance",
        "/harder/groups/ratio_by_chance",
        "",
        "what that ratio is within for 95 of 100 random divisions into groups of these sizes",
    ),
    ("groups.among_equals", "/harder/groups/mean_among_equals", "share", "everybody, names drawn among equal records"),
    ("again.name", "/harder/again/name", "", "a second release of the same people, made to be attacked"),
    ("again.patterns", "/harder/again/patterns", "pairs of records", "different ones that people show in both"),
    ("again.smallest_group", "/harder/again/smallest_group", "people", "fewest of a file who show the same in both"),
    ("again.matched", "/harder/again/matched", "share", "records matched between both by who knows no genome"),
    ("again.matched_by_chance", "/harder/again/matched_by_chance", "share", "the same of a blind guess"),
    ("again.rr", "/harder/again/rr", "share", "linked, institution not known, by who has both records of each person"),
    ("again.rr_low", "/harder/again/ci95/0", "share", "lower end of its 95 % interval"),
    ("again.rr_high", "/harder/again/ci95/1", "share", "upper end of its 95 % interval"),
    (
        "frequencies.mean_error",
        "/frequencies/mean_error",
        "share",
        "mean error of allele frequencies read off the records",
    ),
    ("frequencies.panel_mean_error", "/frequencies/panel_mean_error", "share", "the same of the public panel's"),
    ("frequencies.unseen", "/frequencies/sites_without_calls", "sites", "sites at which no record shows a genotype"),
)


GROUP = (
    ("rr_known", "/rr_known_institution", "share", "by the attack that does best there where the institution is known"),
    ("rr_known_low", "/rr_known_institution_ci95/0", "share", "lower end of its 95 % interval"),
    ("rr_known_high", "/rr_known_institution_ci95/1", "share", "upper end of its 95 % interval"),
    ("among_equals", "/rr_among_equals", "share", "records linked if names are drawn among people with equal records"),
    ("auc", "/membership/auc", "", "telling who of it is in a file, worst attack on it"),
    ("auc_low", "/membership/ci95/0", "", "lower end of its 95 % interval (DeLong)"),
    ("auc_high", "/membership/ci95/1", "", "upper end of its 95 % interval (DeLong)"),
    ("others", "/membership/non_members", "people", "people of it in the panel, told apart from those of the files"),
)


LINKED = (
    ("candidates", "/candidates", "candidates", "candidates for each record"),
    ("chance", "/chance", "share", "right by chance"),
    ("rr", "/rr", "share", "linked by the worst attack that was run on them"),
    ("rr_low", "/ci95/0", "share", "lower end of its 95 % interval"),
    ("rr_high", "/ci95/1", "share", "upper end of its 95 % interval"),
)


AUDIT = (
    ("audit.instrument", "/audit/instrument", "", "how the training was attacked"),
    ("audit.observer", "/audit/observer", "", "who attacks: an observer who ..."),
    ("audit.confidence", "/audit/confidence", "share", "confidence of the bound"),
    ("audit.phase", "/audit/phase", "", "phase whose rounds were attacked"),
    ("audit.rounds", "/audit/rounds", "rounds", "rounds that were attacked"),
    ("audit.repeats", "/audit/repeats", "repeats", "how often these were played"),
    ("audit.canaries", "/audit/canaries", "made-up people", "in it by coin toss, to be guessed at"),
    ("audit.attacked_ple", "/audit/ple_attacked", "sigma", "accounted for these rounds alone"),
    ("audit.ceiling_ple", "/audit/ple_ceiling", "sigma", "the bound, had every guess been right"),
)


TRAIT = (
    ("released_r2", "/r2", "", "predicted for people kept out of training, from their records (R squared)"),
    ("raw_r2", "/raw_r2", "", "the same by the same method from their raw genotypes (R squared)"),
)


DISCLOSURE = (
    ("released_auc", "/auc", "", "predicted for people kept out of training, from their records (AUC)"),
    ("raw_auc", "/raw_auc", "", "the same by the same method from their raw genotypes (AUC)"),
    ("best_raw_auc", "/best_raw_auc", "", "the same by the best method tried, from their raw genotypes (AUC)"),
    (
        "group_guess",
        "/if_released/group_guess",
        "share",
        "released with the file: named right by who knows the commonest among equal records",
    ),
    (
        "file_guess",
        "/if_released/file_guess",
        "share",
        "released with the file: named right by who knows the commonest of the file alone",
    ),
    ("raw_hits", "/scan/raw_hits", "sites", "an association scan of the raw genotypes finds"),
    ("shared_hits", "/scan/shared_hits", "sites", "of these, the same scan of the records finds"),
    ("false_hits", "/scan/false_hits", "sites", "the scan of the records finds that the raw genotypes do not show"),
    (
        "homogeneous",
        "/if_released/homogeneous_share",
        "share",
        "released with the file: records whose equals all have the same, so that it is certain",
    ),
    (
        "entropy_diversity",
        "/if_released/entropy_diversity",
        "",
        "released with the file: exp(entropy) of it in the group where it varies least, 1 if all have the same",
    ),
    (
        "smallest_class",
        "/if_released/smallest_class",
        "people",
        "released with the file: fewest people of a group who have the same",
    ),
)
