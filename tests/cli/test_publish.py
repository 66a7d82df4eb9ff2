"""`afml evaluate --own`, then `afml release publish`: what may leave the house, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium.nodekit import load_node_kit
from afml.release.package.card import CARD_FILE
from afml.release.package.manifest import Manifest, digest_of, digests
from afml.release.package.publication import Publication
from tests.cli.institution import listing
from tests.cli.jsonpage import keys
from tests.cli.packages import Institution, K, copy
from tests.cli.zygote import Outcome


def evaluated(own: Institution, out: Path) -> Outcome:
    run = own.root / "consortium" / "runs" / "two" / "run.json"
    return own.afml("evaluate", "--own", own.work, "--run", run, "--out", out)


@pytest.fixture(scope="module")
def ready(trained: Institution, tmp_path_factory: pytest.TempPathFactory) -> Institution:
    """With a package that tells gout, evaluated."""
    root = tmp_path_factory.mktemp("publish")
    made = copy(trained, root / "root")
    assert made("mask", "--phenotype", "gout").code == 0
    before = listing(made.work)
    assert "has not been evaluated; run `afml evaluate --own" in made("release", "publish").complaint()
    assert listing(made.work) == before
    done = evaluated(made, root / "report")
    assert done.code == 0, done.err
    assert f"kept for `afml release publish`: {made.work / 'assessments' / 'two' / '1.json'}\n" in done.out
    return made


@pytest.fixture
def own(ready: Institution, tmp_path: Path) -> Institution:
    return copy(ready, tmp_path / "root")


def asks(own: Institution, **targets: float) -> None:
    """The site's policy, with targets."""
    policy = own.kit / "policy.toml"
    lines = policy.read_text().splitlines()
    for name, value in targets.items():
        (at,) = (number for number, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[at] = f"{name} = {value}"
    policy.write_text("\n".join(lines) + "\n")


def entries(own: Institution, kind: str) -> list[dict[str, object]]:
    shown = json.loads(own.afml("audit", "show", own.work / "ledger", "--json").out)["entries"]
    return [one for one in shown if one["kind"] == kind]


def verified(own: Institution) -> Outcome:
    return own.afml("release", "verify", own.package(1), "--roster", own.roster)


def test_what_was_evaluated_is_published_signed_entered_and_verified(own: Institution) -> None:
    assert "not published: no publication.json is in it" in verified(own).out
    done = own("release", "publish")
    assert done.code == 0, done.err
    publication = Publication.load(own.package(1) / "publication.json")
    says = f"published {publication.made}, evaluated first: group size at least {K}, joint groups at least {K} met"
    assert done.out == f"{own.package(1)}: {says}\n"
    assert verified(own).out.splitlines()[1] == f"{own.package(1)}: {says}"
    told = json.loads(own.afml("release", "verify", own.package(1), "--roster", own.roster, "--json").out)
    assert set(told) == keys("release verify")
    assert told["publication"] == json.loads((own.package(1) / "publication.json").read_text())
    ((entry,), (release,)) = entries(own, "publication"), entries(own, "release")
    assert (entry["release"], entry["met"], entry["missed"]) == (release["index"], ["group size", "joint groups"], [])
    assert (entry["manifest"], entry["assessment"]) == (publication.manifest, publication.assessment)
    checked = own.afml("audit", "verify", own.work / "ledger", "--roster", own.roster, "--node", 1)
    assert "nothing found" in checked.out, checked.out + checked.err
    assert f"release #{release['index']} published" in own.afml("audit", "show", own.work / "ledger").out
    # The attacker who knows the traits is among those that it was held against.
    text = (own.work / "assessments" / "two" / "1.json").read_text()
    cost = json.loads(text)["report"]["release"]["known_traits"]
    card = json.loads((own.package(1) / "release_card.json").read_text())
    assert (cost["combinations"], cost["groups"]) == (2, card["groups"])
    assert cost["chance"] == pytest.approx(card["phenotypes"]["named_by_traits_alone"], abs=1e-6)
    assert cost["chance"] <= cost["rr"] <= card["named_at_most"] + 1e-6
    # Nothing exact about the people leaves: targets and digests do.
    report = json.loads((own.work / "assessments" / "two" / "1.json").read_text())["report"]
    assert str(report["release"]["rr"]) not in (own.package(1) / "publication.json").read_text()
    before = listing(own.work)
    line = own("release", "publish", "--force").complaint()
    assert "is published already, and nothing is written over" in line
    # The cure works as it is printed, with the kit's folder put in.
    _, _, cure = line.partition("`afml ")
    assert own.afml(*cure.rstrip("`\n").replace("KIT", str(own.kit)).split()).code == 0
    assert listing(own.work) == before


def test_a_published_package_keeps_the_evaluation_that_it_stands_on(own: Institution, tmp_path: Path) -> None:
    assert own("release", "publish").code == 0
    kept = (own.work / "assessments" / "two" / "1.json").read_bytes()
    done = evaluated(own, tmp_path / "again")
    assert done.code == 0, done.err
    assert "kept for" not in done.out
    assert (own.work / "assessments" / "two" / "1.json").read_bytes() == kept


def test_a_missed_target_is_refused_and_accepted_only_in_writing(own: Institution) -> None:
    asks(own, target_rr=0.0001, target_utility=9.0)
    before = {name: digest for name, digest in listing(own.work).items() if not name.startswith("ledger/")}
    known = len(entries(own, "policy"))
    line = own("release", "publish").complaint()
    assert "re-identification rate at most 0.01 % is asked: attacks name " in line
    assert "utility ratio at least 9 is asked: it is " in line
    assert "or accept it knowingly with --force" in line
    assert (entries(own, "publication"), len(entries(own, "policy"))) == ([], known)
    after = {name: digest for name, digest in listing(own.work).items() if not name.startswith("ledger/")}
    assert after == before
    done = own("release", "publish", "--force")
    assert done.code == 0, done.err
    says = "MISSED, and published nevertheless: re-identification rate at most 0.01 %, utility ratio at least 9"
    assert says in done.out
    assert says in verified(own).out
    (entry,) = entries(own, "publication")
    assert entry["missed"] == ["re-identification rate", "utility ratio"]
    assert "MISSED" in own.afml("audit", "show", own.work / "ledger").out


def test_a_rate_is_met_where_groups_allow_no_more(own: Institution) -> None:
    card = json.loads((own.package(1) / "release_card.json").read_text())
    asks(own, target_rr=card["groups"] / card["people"])
    done = own("release", "publish")
    assert done.code == 0, done.err
    assert "re-identification rate at most" in done.out
    assert "MISSED" not in done.out


def test_no_promise_is_forced(own: Institution) -> None:
    asks(own, min_group_size=K + 1)
    assert f"this site's policy demands {K + 1} at least" in own("release", "publish", "--force").complaint()
    assert not (own.package(1) / "publication.json").exists()


def test_what_was_changed_since_is_refused(own: Institution) -> None:
    path, kept = own.package(1) / "codebook.tsv", own.work / "assessments" / "two" / "1.json"
    whole, assessed = path.read_bytes(), json.loads(kept.read_text())
    path.write_bytes(whole + b"\n")
    before = listing(own.work)
    assert "codebook.tsv is not what was signed" in own("release", "publish").complaint()
    # Signed anew, over another file: whole and signed, and not what was evaluated.
    manifest = Manifest.load(own.package(1) / "manifest.json")
    key, other = (load_node_kit(own.kit.with_name(f"node-{node}")).signing_key for node in (1, 2))
    manifest.model_copy(update={"files": digests(own.package(1))}).signed(key).save(own.package(1))
    assert "is not the package that was evaluated" in own("release", "publish").complaint()
    # What another signed, even where somebody made the evaluation look like one of it.
    path.write_bytes(whole)
    manifest.signed(other).save(own.package(1))
    found = assessed | {"manifest": digest_of(own.package(1) / "manifest.json")}
    kept.write_text(json.dumps(found))
    assert "is not signed by this institution's key" in own("release", "publish").complaint()
    # Another run file, of the same name.
    manifest.save(own.package(1))
    kept.write_text(json.dumps(assessed | {"configuration": "0" * 64}))
    assert "was evaluated under another run.json" in own("release", "publish").complaint()
    kept.write_text(json.dumps(assessed))
    path.write_bytes(whole + b"\n")
    assert set(listing(own.work)) == set(before)
    assert entries(own, "publication") == []


def test_a_second_version_is_evaluated_by_itself(own: Institution, tmp_path: Path) -> None:
    assert own("mask", "--nested").code == 0
    assert "has not been evaluated" in own("release", "publish").complaint()
    assert "run two has no version 3" in own("release", "publish", "--version", 3).complaint()
    done = own("release", "publish", "--version", 1)
    assert done.code == 0, done.err
    assert evaluated(own, tmp_path / "second").code == 0
    assert own("release", "publish").code == 0
    assert Publication.load(own.package(2) / "publication.json").version == 2


def test_whoever_receives_it_finds_a_publication_of_others_out(own: Institution) -> None:
    assert own("release", "publish").code == 0
    path = own.package(1) / "publication.json"
    word = Publication.load(path)
    other, key = (load_node_kit(own.kit.with_name(f"node-{node}")).signing_key for node in (2, 1))
    for changed, said in (
        (word.model_copy(update={"verdicts": ()}), "the signature is not the institution's"),
        (word.signed(other), "the signature is not the institution's"),
        (word.model_copy(update={"version": 2}).signed(key), "is of another package"),
        (word.model_copy(update={"manifest": "0" * 64}).signed(key), "is of another package"),
    ):
        changed.save(own.package(1))
        found = verified(own)
        assert found.code == 6
        assert said in found.complaint()


def test_a_publication_that_was_entered_and_not_written_is_asked_for_again(own: Institution) -> None:
    """As a crash between ledger and file leaves it."""
    assert own("release", "publish").code == 0
    (own.package(1) / "publication.json").unlink()
    assert own("release", "publish").code == 0
    assert len(entries(own, "publication")) == 1
    assert (own.package(1) / "publication.json").exists()


def prepared(own: Institution, holdout: float) -> None:
    """The work folder, once more from the same files; `packages.build` kept a quarter out."""
    data = own.root / "data"
    given = {
        "vcf": data / "institution-1.vcf.gz", "panel-vcf": data / "panel.vcf.gz",
        "phenotypes": data / "traits-1.tsv", "holdout": holdout, "seed": 7,
    }  # fmt: skip
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    done = own.afml("prepare", "--kit", own.kit, "--work", own.work, *options)
    assert done.code == 0, done.err


def test_nobody_whom_the_run_was_trained_on_is_measured_on_as_kept_out(own: Institution, tmp_path: Path) -> None:
    (own.work / "assessments" / "two" / "1.json").rename(tmp_path / "kept.json")
    before = (own.work / "people.tsv").read_text()
    prepared(own, 0.5)
    roles = zip(before.splitlines(), (own.work / "people.tsv").read_text().splitlines(), strict=True)
    changed = sum(old.endswith("train") and new.endswith("holdout") for old, new in roles)
    refused = evaluated(own, tmp_path / "none").complaint()
    assert f"people.tsv: calls {changed} people kept out of training whom run two was trained on" in refused
    assert "run `afml prepare` with the --holdout of before" in refused
    assert not (own.work / "assessments" / "two" / "1.json").exists()
    assert not (tmp_path / "none").exists()
    # Nor is an evaluation of before this was asked for published.
    (own.work / "assessments" / "two" / "1.json").write_bytes((tmp_path / "kept.json").read_bytes())
    assert f"calls {changed} people kept out" in own("release", "publish").complaint()
    # What was kept out of the run, and nobody else, may be fewer than were: they count with those trained on.
    prepared(own, 0.0)
    assert "keeps nobody out of training" in evaluated(own, tmp_path / "none").complaint()
    prepared(own, 0.2)
    done = evaluated(own, tmp_path / "fewer")
    assert done.code == 0, done.err
    assert "people here were not in the run, and count with those trained on" in done.out
    # The same once more passes, in whatever order people stand, withdrawn or not.
    prepared(own, 0.25)
    assert (own.work / "people.tsv").read_text() == before
    leaving = tmp_path / "leaving.txt"
    leaving.write_text(before.splitlines()[1].split("\t")[0] + "\n")
    assert own.afml("withdraw", "--kit", own.kit, "--ledger", own.work / "ledger", "--file", leaving).code == 0
    done = evaluated(own, tmp_path / "fewer")  # over a report of the same
    assert done.code == 0, done.err
    assert "were not in the run" not in done.out
    report = tmp_path / "fewer" / "report.json"
    written = report.read_text()
    for other in ("of yesterday", written.replace('"institution": "afml/', '"institution": "afml/0')):
        report.write_text(other)
        line = f"{report}: is there already, and of something else than this run at the same institutions; "
        assert line + "give another --out, or --force" in evaluated(own, tmp_path / "fewer").complaint()
        assert report.read_text() == other
    # But their file does not leave the house any more.
    assert "people have withdrawn consent; leave them out" in own("release", "publish").complaint()
    assert not (own.work / "releases" / "two" / "1" / "publication.json").exists()
    following = own("next")
    assert "people in it have withdrawn since" in following.out
    assert "--nested" in following.out


def test_kept_out_is_asked_of_the_ledger_of_the_run(own: Institution, tmp_path: Path) -> None:
    (own.work / "ledger").rename(tmp_path / "elsewhere")
    run = own.root / "consortium" / "runs" / "two" / "run.json"
    ask = ("evaluate", "--own", own.work, "--run", run, "--out", tmp_path / "out")
    assert "holds no ledger.db" in own.afml(*ask).complaint()
    other = own.work.with_name("node-2") / "ledger"
    line = own.afml(*ask, "--ledger", other).complaint()
    assert "people.tsv: holds nobody whom run two was trained on, by the ledger" in line
    done = own.afml(*ask, "--ledger", tmp_path / "elsewhere")
    assert done.code == 0, done.err


def test_what_was_forced_past_not_worth_releasing_is_said_when_it_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = SimpleNamespace(line=lambda: "published, evaluated first")
    done = SimpleNamespace(version=SimpleNamespace(folder=tmp_path), publication=line)
    monkeypatch.setattr("afml.cli.release.publish_package", lambda **_: done)
    chance = "not worth releasing: chance"
    for card, told in (({"at_chance": chance}, f"; published although {chance}"), ({"at_chance": None}, "")):
        (tmp_path / CARD_FILE).write_text(json.dumps(card))
        given = ["--kit", str(tmp_path), "--work", str(tmp_path), "--run", str(tmp_path / "run.json")]
        lines = CliRunner().invoke(cli, ["release", "publish", *given]).output.splitlines()
        assert lines == [f"{tmp_path}: published, evaluated first{told}"]
