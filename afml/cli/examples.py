"""An example of every verb, below its `--help`: one consortium of five institutions, the same files throughout."""

from __future__ import annotations

import click

EXAMPLES = {
    "keys init": 'afml keys init --out kit --name "Institute A"',
    "keys install": "afml keys install node-1 --kit kit",
    "keys renew": "afml keys renew --kit kit",
    "keys csr": "afml keys csr --kit kit --out institute-a.csr",
    "consortium found": "afml consortium found a.json b.json c.json sum.json --kit kit --consortium north --out new",
    "consortium add": "afml consortium add f.json --kit kit --out version-2",
    "consortium remove": "afml consortium remove 3 --kit kit --out version-2",
    "consortium rename": 'afml consortium rename 3 "Institute C, new name" --kit kit --out version-2',
    "consortium countersign": "afml consortium countersign version-2 --kit kit --out word-1.json",
    "consortium publish": "afml consortium publish version-2 --countersigned word-1.json --kit kit --out answers-2",
    "consortium rotate": "afml consortium rotate request.json --kit kit --out renewed",
    "consortium revoke": "afml consortium revoke node/3 --kit kit --out revoked",
    "consortium show": "afml consortium show --kit kit",
    "split": "afml split cohort.vcf.gz --people people.tsv --nodes 5 --out data",
    "phenotypes": "afml phenotypes node-1.vcf.gz node-2.vcf.gz --panel-vcf panel.vcf.gz --out phenotypes.tsv",
    "panel create": "afml panel create panel.vcf.gz --sites 1024 --exclude problem-regions.bed --out public.panel",
    "panel show": "afml panel show public.panel",
    "panel diff": "afml panel diff public.panel later.panel",
    "policy init": "afml policy init --kit kit --lifetime 0.9 --trust 2 --trust 3 --approval",
    "policy check": "afml policy check --kit kit --run run.json",
    "prepare": "afml prepare --kit kit --vcf mine.vcf.gz --panel-vcf panel.vcf.gz --phenotypes mine.tsv --work work",
    "configure": "afml configure card-1.json card-2.json card-3.json --kit kit --ple 0.9 --out run.json",
    "aggregator": "afml aggregator --kit kit --run run.json --data state --listen 0.0.0.0:7443",
    "run show": "afml run show run.json --kit kit --work work",
    "run approve": "afml run approve run.json --kit kit --work work",
    "run close": "afml run close run.json --kit kit --work work",
    "run submit": "afml run submit run.json --kit kit --aggregator aggregator.example.org:7443",
    "run pause": "afml run pause run.json --kit kit --data state",
    "run resume": "afml run resume run.json --kit kit --data state",
    "run extend": "afml run extend run.json --kit kit --data state --seconds 3600",
    "run close-enrolment": "afml run close-enrolment run.json --kit kit --data state",
    "run abort": "afml run abort run.json --kit kit --data state",
    "node": "afml node --kit kit --work work --run run.json --aggregator aggregator.example.org:7443",
    "node leave": "afml node leave --kit kit --work work --run run.json --aggregator aggregator.example.org:7443",
    "node serve": "afml node serve --kit kit --config serve.toml --state served",
    "overlap": "afml overlap --kit kit --work work --run run.json --aggregator aggregator.example.org:7443",
    "next": "afml next --kit kit --work work --run run.json",
    "console": "afml console work --kit kit --run run.json",
    "version": "afml version --evidence --manifest afml.sha256",
    "status": "afml status work --kit kit --watch",
    "doctor": "afml doctor --kit kit --run run.json --work work --aggregator aggregator.example.org:7443",
    "model list": "afml model list work",
    "model show": "afml model show work/models/first",
    "model export": "afml model export work/models/first --out model.npz",
    "predict": "afml predict work/models/first --data work --out predicted.tsv",
    "mask": "afml mask --kit kit --work work --run run.json",
    "release publish": "afml release publish --kit kit --work work --run run.json",
    "release recipe": "afml release recipe . --with pandas | python",
    "release verify": "afml release verify package --roster roster.json",
    "evaluate": "afml evaluate --own work --run run.json --out report",
    "reassess": "afml reassess --kit kit --work work --run run.json --panel-vcf later.vcf.gz",
    "withdraw": "afml withdraw --ledger work/ledger --kit kit --person NA12878",
    "audit show": "afml audit show work/ledger",
    "audit verify": "afml audit verify work/ledger --roster kit/roster.json --transcript transcript.jsonl",
    "audit dossier": "afml audit dossier --work work --kit kit --run run.json --out dossier",
    "audit merge": "afml audit merge dossier-a dossier-b dossier-c --out merged",
    "audit export": "afml audit export work/ledger --roster kit/roster.json --out statement",
    "audit attack": "afml audit attack --run run.json --work work --kit kit",
    "ledger backup": "afml ledger backup work/ledger --out backup-1",
    "ledger restore": "afml ledger restore backup-1 --ledger work/ledger --kit kit --head heads",
    "ledger heads": "afml ledger heads work/ledger --out heads",
    "ledger begin": "afml ledger begin work/ledger --kit kit",
    "ledger import": "afml ledger import old/ledger --ledger work/ledger --kit kit --old-kit old/kit",
    "ledger propose": "afml ledger propose work/ledger --kit kit --to new-kit --out proposal.json",
    "ledger vouch": "afml ledger vouch proposal.json --ledger work/ledger --kit kit --out v2.json",
    "ledger succeed": "afml ledger succeed proposal.json --ledger work/ledger --kit kit --to new-kit --vouch v2.json",
    "task new": "afml task new heart",
    "task check": "afml task check heart --schema heart/schema.toml",
    "plan": "afml plan --people 2000 --nodes 5 --ple 0.9",
    "privacy": "afml privacy --noise-multiplier 1.5 --sample-rate 0.1 --rounds 100 --delta 1e-5",
    "reproduce": "afml reproduce --data exomes --grid quick --out build/quick",
    "demo": "afml demo --nodes 5 --sites 1024 --out runs/demo",
    "completion": "afml completion bash >> ~/.bashrc",
}
"""Words of a command -> what somebody types."""
PREPARE = {
    "genotypes": EXAMPLES["prepare"],
    "matrix": "afml prepare --kit kit --data matrix --matrix mine.tsv --panel-matrix public.tsv --work work",
    "table": "afml prepare --kit kit --data table --table mine.csv --schema schema.toml --work work",
    "array": "afml prepare --kit kit --data array --table mine.csv --features x.npy --schema schema.toml --work work",
    "images": "afml prepare --kit kit --data images --table mine.csv --images scans --schema schema.toml --work work",
}
"""Kind of data -> the same of `afml prepare`."""


def example_of(ctx: click.Context) -> str:
    """What fits what was typed so far; "" where there is none."""
    if find := getattr(ctx.command, "example", None):
        return str(find(ctx))
    return EXAMPLES.get(ctx.command_path.removeprefix("afml "), "")


def with_examples(command: click.Command, words: str) -> click.Command:
    """Put its example below the help of a verb, and of everything below it."""
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            with_examples(below, f"{words} {name}")
    if words in EXAMPLES and not command.epilog:
        command.epilog = f"\b\nExample:\n  {EXAMPLES[words]}"
    for name, below in getattr(command, "further", {}).items():
        with_examples(below, f"{words} {name}")
    return command
