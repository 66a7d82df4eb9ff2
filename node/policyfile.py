"""Writing `policy.toml`, explained line by line in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from afml.consortium.roster import Roster
from afml.core.errors import InputError
from afml.core.files import write_bytes
from crypto.public.suites import CLASSICAL
from node.policy import ANY, FILE, Lifetime, Policy, ReleaseRules, RunRules, Trust

_HEAD = """\
# What this institution allows, whoever signs what. Read before a run is entered and before every spend; a change
# takes effect at the next one, and is written into the ledger. See what it means with `afml policy check`.
"""

_WORDS = {
    "lifetime": "What one of the institution's people may spend, over all runs and all consortia.",
    "lifetime.ple_sigma": "Privacy-loss estimate, in sigma.",
    "lifetime.delta": "The delta at which this site accounts.",
    "run": "What a single run must be like.",
    "run.ple_sigma": "Largest budget that a run may name, in sigma.",
    "run.delta": "Largest delta that a run may name.",
    "run.rounds": "Most private rounds.",
    "run.tasks": f'Tasks that may train on these people; "{ANY}" allows every installed one.',
    "run.trusted_code": "Code digests (run.json) of other packages' tasks that may run within the node itself.",
    "run.noise": '"distributed": institutions share the noise of a sum; "local": each adds all of it.',
    "run.exact_noise": "Whether noise must be proven to be what is accounted (`afml configure --exact-noise`).",
    "run.key_agreement": f'How keys may be agreed; "{CLASSICAL}" alone opens recorded traffic to a quantum computer.',
    "run.quorum": "Fewest institutions in a sum; of a sum of two each can read the other's update (docs/PRIVACY.md).",
    "run.site_panels": f'Fingerprints (card.json) of the data that a run may be about; "{ANY}" allows every one.',
    "run.approval": "Whether a person must approve each run (`afml run show`, `afml run approve`).",
    "run.reservation_days": "How long a run may take from its start here, pauses included.",
    "run.simulation": "Whether seeded runs are allowed. Their noise is public: they protect nobody.",
    "run.verified_sums": "Whether nodes must verify every sum before they apply it (`afml configure --verified-sums`).",
    "trust": "Who is trusted not to tell what noise it added, and to add it; this site itself always is.",
    "trust.signing_keys": "Signing keys of such institutions (on the roster).",
    "trust.short_of_trust": 'Where too few are: "charge" what would hold if aggregation were broken, or "refuse".',
    "roster": "Which new versions of the roster (`afml keys install`) this site takes.",
    "roster.countersigned": 'Members of the version before who must have countersigned: "majority", "all", "none".',
    "overlap": "Looking for people whom another institution of a run has enrolled too (`afml overlap`).",
    "overlap.allowed": "Whether others may ask: whoever holds a genome can find out by it whether it is enrolled here.",
    "overlap.people": "Most people of others that they may ask about, all queries of all runs together.",
    "release": "What a released file must be like.",
    "release.allowed": "Whether files may be released at all.",
    "release.min_group_size": "Fewest people who share a released pattern.",
    "release.target_rr": "Share of records that attacks may name where a file is published (`afml release publish`).",
    "release.target_utility": "Least utility ratio of a file that is published; 0: any.",
}


def init(kit: Path, policy: Policy, roster: Roster | None = None) -> Path:
    """Write a policy into a kit.

    Args:
        kit: The node's kit.
        policy: What it allows.
        roster: Its members are named beside their keys; those that are not trusted stand there as comments.

    Raises:
        InputError: There is one already.
    """
    path = kit / FILE
    if path.exists():
        raise InputError("a policy is there already", where=path, cure="edit it, then run `afml policy check`")
    write_bytes(path, text(policy, roster).encode())
    return path


def trial_policy(roster: Roster, *, ple_sigma: float = 100.0) -> Policy:
    """What an institution allows in trials on made-up or public people: simulations, every task, everybody trusted."""
    return Policy(
        lifetime=Lifetime(ple_sigma=ple_sigma),
        run=RunRules(ple_sigma=ple_sigma, tasks=(ANY,), quorum=1, simulation=True),
        trust=Trust(signing_keys=tuple(member.signing_key for member in roster.members)),
        release=ReleaseRules(min_group_size=1),
    )


def text(policy: Policy, roster: Roster | None = None) -> str:
    """The file."""
    lines = [_HEAD]
    for table, fields in policy.model_dump(mode="json").items():
        lines += [f"# {_WORDS[table]}", f"[{table}]"]
        for name, value in fields.items():
            lines.append(f"# {_WORDS[f'{table}.{name}']}")
            if (table, name) == ("trust", "signing_keys"):
                lines += _keys(value, roster)
            else:
                lines.append(f"{name} = {json.dumps(value)}")
        lines.append("")
    return "\n".join(lines)


def _keys(trusted: Sequence[str], roster: Roster | None) -> list[str]:
    names = {member.signing_key: f"node {member.node}" for member in roster.members} if roster else {}
    lines = ["signing_keys = ["]
    lines += [f'  "{key}",{f"  # {names[key]}" if key in names else ""}' for key in trusted]
    lines += [f'  # "{key}",  # {name}' for key, name in names.items() if key not in trusted]
    return [*lines, "]"]
