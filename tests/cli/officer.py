"""An officer's desk: kits of three nodes, a work folder, signed runs, and commands as she types them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from afml.cli.run import run as run_verb
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.provision import load_coordinator_key
from afml.consortium.run import Budget, Phase
from afml.consortium.runfile import write_run
from afml.core.errors import AfmlError, PolicyError
from afml.masking.chosen import genotypes
from afml.operate.words import counted
from afml.trial.kits import make_kits
from crypto.public.suites import HYBRID, KeyAgreement
from tests.masking_runs import masking_run

PEOPLE = [f"s{i}" for i in range(12)]
NODES = 3
PEOPLE_TSV = "sample\trole\tphenotype\n" + "".join(f"{name}\ttrain\t1\n" for name in PEOPLE)


def desk(root: Path, nodes: int = NODES) -> Path:
    """Kits of so many nodes, and a work folder as `afml prepare` leaves it, as far as `afml run` reads it."""
    make_kits(root / "kits", "test", nodes)
    work = root / "work"
    (work / "data").mkdir(parents=True)
    work.chmod(0o700)
    (work / "people.tsv").write_text(PEOPLE_TSV)
    card = NodeCard(node=1, data=genotypes("00", 9), enrolled=len(PEOPLE))
    (work / "card.json").write_text(card.model_dump_json())
    return root


def signed(
    place: Path, name: str = "run", *, sigma: float = 0.5, budget: float = 0.9, seed: int | None = None,
    enrolled: dict[int, int] | None = None, key_agreement: KeyAgreement = HYBRID,
    verified_sums: bool = False, exact_noise: bool = False,
) -> Path:  # fmt: skip
    phase = Phase(name="one", rounds=3, sample_rate=1.0, clip_norm=1.0, noise_multiplier=2 / sigma, learning_rate=1.0)
    config = masking_run(
        run=name, consortium="test", sites=9, enrolled=enrolled or {1: 12, 2: 12, 3: 12}, quorum=3, phases=(phase,),
        budget=Budget(delta=1e-5, ple_sigma=budget), seed=seed, key_agreement=key_agreement,
        verified_sums=verified_sums, exact_noise=exact_noise,
    )  # fmt: skip
    path = place / f"{name}.json"
    write_run(path, config, load_coordinator_key(place / "kits" / "coordinator"))
    return path


def call(command: object, *arguments: object) -> str:
    done = CliRunner().invoke(command, [str(one) for one in arguments])  # type: ignore[arg-type]
    if isinstance(done.exception, AfmlError):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def kit(place: Path) -> Path:
    return place / "kits" / "node-1"


def on(place: Path, verb: str, file: Path, *more: object) -> str:
    return call(run_verb, verb, file, "--kit", kit(place), "--work", place / "work", *more)


def shown(place: Path, file: Path, *more: object) -> str:
    """What `afml run show` prints; of a run that is refused it ends as refused."""
    given = ["show", file, "--kit", kit(place), "--work", place / "work", *more]
    done = CliRunner().invoke(run_verb, [str(one) for one in given])
    refusals = sum(line.startswith("refused: ") for line in done.output.splitlines())
    if isinstance(done.exception, AfmlError) and not refusals:
        raise done.exception
    assert isinstance(done.exception, PolicyError) == bool(refusals)
    if refusals:
        assert str(done.exception).endswith(f": is refused at this site, for {counted(refusals, 'reason')}")
    return done.output


def loaded(place: Path) -> NodeKit:
    return load_node_kit(kit(place))
