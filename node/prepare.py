"""From an institution's VCF to its prepared work folder: sites, stores, people, card."""

from __future__ import annotations

import hmac
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from afml.core.errors import InputError
from afml.core.files import read_secret, require_file, sync_folder, write_bytes, write_secret
from afml.core.progress import Task
from afml.core.run import NodeCard
from afml.genomics.choice import build_site_panel
from afml.genomics.phenotypes import Phenotypes, read_phenotypes
from afml.genomics.store import build_panel_store, build_store
from crypto.public import messages
from crypto.public.signing import sign
from crypto.secret.nodekit import NodeKit
from node.workspace import People, Workspace

_HOLDOUT_KEY = "holdout.key"


def prepare(
    kit: NodeKit,
    work: Workspace,
    *,
    vcf: Path,
    panel_vcf: Path,
    phenotypes: Path | None,
    exclude: Sequence[Path],
    sites: int,
    min_maf: float,
    holdout: float,
    seed: int | None,
    progress: Task,
    panel_af_field: str | None = None,
    drawn_people: int | None = None,
) -> NodeCard:
    """Build everything a node needs to train.

    Args:
        kit: Signs the card.
        work: Folder to fill; what it holds of an earlier preparation is replaced, its ledger stays.
        vcf: The institution's genotypes, bgzipped VCF or BCF.
        panel_vcf: The public panel, the same file at every institution: people, or frequencies alone.
        phenotypes: Table of sample and named columns: traits and covariates (afml.genomics.phenotypes);
            None for runs without traits.
        exclude: BED files of regions to leave out.
        sites: Sites to keep, the most common of the panel.
        min_maf: Smallest minor-allele frequency in the panel.
        holdout: Fraction of people kept out of training, to evaluate with.
        seed: Simulation only: who is held out becomes reproducible.
        progress: The running step.
        panel_af_field: INFO field of the frequencies where the panel holds no people; by default AF.
        drawn_people: People drawn from them; by default 500.

    Raises:
        InputError: Anything wrong with a file; names the file, the place and the cure.
    """
    for path, what in ((vcf, "VCF"), (panel_vcf, "panel VCF"), (phenotypes, "phenotype table")):
        if path is not None:
            require_file(path, what)
    if not 0 <= holdout < 1:
        raise InputError(f"{holdout} is not a fraction in [0, 1)", where="--holdout", cure="for example 0.25")
    new = not work.root.exists()
    work.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        # All of it is made apart, so that a failure leaves what an earlier preparation made.
        with tempfile.TemporaryDirectory(dir=work.root, prefix=".prepare-") as folder:
            draft = Workspace(Path(folder))
            card = _build(
                kit, draft, _holdout_key(work, draft, seed), vcf=vcf, panel_vcf=panel_vcf, phenotypes=phenotypes,
                exclude=exclude, sites=sites, min_maf=min_maf, holdout=holdout, progress=progress,
                panel_af_field=panel_af_field, drawn_people=drawn_people,
            )  # fmt: skip
            _install(draft, work)
    finally:
        if new and not any(work.root.iterdir()):
            work.root.rmdir()
    return card


def _build(
    kit: NodeKit, work: Workspace, holdout_key: bytes, *, vcf: Path, panel_vcf: Path, phenotypes: Path | None,
    exclude: Sequence[Path], sites: int, min_maf: float, holdout: float, progress: Task,
    panel_af_field: str | None, drawn_people: int | None,
) -> NodeCard:  # fmt: skip
    progress.note("choosing sites on the public panel")
    panel = build_site_panel(
        panel_vcf, sites=sites, min_maf=min_maf, exclude=exclude, af_field=panel_af_field,
        drawn_people=drawn_people, progress=progress,
    )  # fmt: skip
    panel.save(work.site_panel)
    progress.note("storing the public panel")
    build_panel_store(panel_vcf, panel, work.panel_store, progress=progress)
    progress.note("storing this institution's genotypes")
    store = build_store(vcf, panel, work.cohort_store, progress=progress)
    table = Phenotypes((), np.zeros((len(store.samples), 0)))
    if phenotypes is not None:
        table = read_phenotypes(phenotypes, store.samples)
    enrolled = np.array([_draw(holdout_key, name) >= holdout for name in store.samples])
    if not enrolled.any():
        raise InputError("nobody is left to train on", where=vcf, cure="lower --holdout")
    People(tuple(store.samples), table, enrolled).save(work.people)
    card = NodeCard(node=kit.node, site_panel=panel.digest(), sites=len(panel), enrolled=int(enrolled.sum()))
    signature = sign(kit.signing_key, messages.node_card(card.unsigned()))
    card = card.model_copy(update={"signature": signature.hex()})
    write_bytes(work.card, card.model_dump_json(indent=2).encode() + b"\n")
    return card


def _install(draft: Workspace, work: Workspace) -> None:
    """Put a finished preparation into the place of the last one; the card, without which no run starts, last."""
    work.card.unlink(missing_ok=True)
    for source in sorted(draft.root.iterdir(), key=lambda path: path == draft.card):
        target = work.root / source.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(source, target)
    sync_folder(work.root)


def _holdout_key(work: Workspace, draft: Workspace, seed: int | None) -> bytes:
    """Key of the held-out draw: made once, so that preparing again enrols the same people."""
    if seed is not None:
        return f"holdout {seed}".encode()
    path = work.root / _HOLDOUT_KEY
    if not path.exists():
        path = draft.root / _HOLDOUT_KEY
        write_secret(path, os.urandom(32))
    return read_secret(path)


def _draw(key: bytes, sample: str) -> float:
    """Uniform in [0, 1) from this person alone: nobody's enrolment depends on who else is there."""
    return int.from_bytes(hmac.digest(key, sample.encode(), "sha256")[:8], "big") / 2.0**64
