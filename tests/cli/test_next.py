"""`afml next`: through the whole of a party's work, one step after the other."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium.ownkeys import Party, make
from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.operate.next import _STEPS, Next, next_of
from afml.operate.place import Place
from node.memory import KIT_HEAD
from node.workspace import Workspace, refusal
from tests.cli.institution import Institution
from tests.cli.test_cures import problem
from tests.cli.zygote import Zygote


def told(*options: object) -> str:
    found = CliRunner().invoke(cli, ["next", *map(str, options)], catch_exceptions=False)
    assert found.exit_code == 0
    return found.output


def test_who_has_nothing_makes_keys_and_who_has_sent_them_waits(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    assert told("--kit", kit).startswith("you: make your keys\n  afml keys init --out ")
    assert "--role aggregator" in told("--kit", kit, "--role", "aggregator")
    make(kit, Party("node", "Institute A"))
    answer = told("--kit", kit)
    assert answer.startswith("the coordinator: answers ")
    assert f"afml keys install FOLDER --kit {kit}" in answer


def test_a_coordinator_founds_then_configures_then_sends(tmp_path: Path) -> None:
    kit, run = tmp_path / "kit", tmp_path / "run.json"
    make(kit, Party("coordinator", "C"))
    assert "afml consortium found" in told("--kit", kit)
    (kit / "roster.json").write_text("{}")
    page = (Path(__file__).parents[2] / "docs" / "for" / "operator.md").read_text(encoding="utf-8")
    planned = "--kit kit --ple 0.4 --budget 0.9 --out run.json"
    assert planned in page, "a second run is refused where the budget is the target"
    assert f"afml configure CARD... {planned.replace('--kit kit', f'--kit {kit}')}" in told("--kit", kit)
    assert next_of(Place(kit, run=run)).command == ""
    assert "run.sig" in next_of(Place(kit, run=run)).what


def test_an_aggregator_serves_one_run_or_all(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    make(kit, Party("aggregator", "S", hosts=("127.0.0.1",)))
    (kit / "roster.json").write_text("{}")
    assert next_of(Place(kit)).command == f"afml aggregator --kit {kit} --data STATE --listen 0.0.0.0:7443"
    assert "--run r.json" in next_of(Place(kit, run=Path("r.json"))).command


def test_a_command_can_be_pasted_where_a_path_has_a_blank(tmp_path: Path) -> None:
    kit, run = tmp_path / "hosp a" / "kit", tmp_path / "it's.json"
    make(kit, Party("aggregator", "S", hosts=("127.0.0.1",)))
    (kit / "roster.json").write_text("{}")
    words = shlex.split(next_of(Place(kit, run=run)).command)
    assert words[:6] == ["afml", "aggregator", "--kit", str(kit), "--run", str(run)]
    begun = CliRunner().invoke(cli, ["task", "new", str(tmp_path / "of mine" / "tasks")], catch_exceptions=False)
    typed = [shlex.split(line.partition(":")[2]) for line in begun.output.splitlines()[1:]]
    assert typed[0][3] == str(tmp_path / "of mine" / "tasks")
    assert typed[1][-1] == str(tmp_path / "of mine" / "tasks")


def test_a_run_that_is_not_there_yet_is_said_and_no_error(tmp_path: Path) -> None:
    kit, run = tmp_path / "kit", tmp_path / "run.json"
    make(kit, Party("node", "Institute A"))
    answer = told("--kit", kit, "--run", run)
    assert answer.splitlines()[0] == f"there is no {run} yet"
    assert answer.splitlines()[1:] == told("--kit", kit).splitlines()


def test_it_prints_json(tmp_path: Path) -> None:
    found = json.loads(told("--kit", tmp_path / "kit", "--json"))
    assert found["who"] == "you"
    assert problem(found["command"]) == ""


def test_a_folder_that_is_no_kit_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("else")
    with pytest.raises(InputError, match="is not a kit"):
        next_of(Place(tmp_path))


def test_an_institution_is_led_from_a_policy_to_a_masked_file(good: Institution, afml: Zygote, tmp_path: Path) -> None:
    root = Path(shutil.copytree(good.root, tmp_path / "copy"))
    kit, work, run = root / "kits" / "node-1", root / "work-1", tmp_path / "run.json"
    place = Place(kit, work)
    (kit / "policy.toml").unlink(missing_ok=True)
    assert next_of(place).command == f"afml policy init --kit {kit} --lifetime 0.9 --trust-roster"
    options = ("--lifetime", 0.9, "--trust", 2, "--quorum", 2, "--approval")
    assert afml("policy", "init", "--kit", kit, *options).code == 0
    assert next_of(Place(kit, tmp_path / "none")).command.startswith("afml prepare ")
    sent = f"makes run.json and run.sig of all cards: send it {work}/card.json"
    assert next_of(place) == Next("the coordinator", sent)
    cards = [root / f"work-{node}" / "card.json" for node in (1, 2)]
    how = ("--noise", "local", "--quorum", 2, "--max-colluding", 0, "--rounds", 2, "--ple", 0.5, "--budget", 0.9)
    done = afml("configure", *cards, "--kit", root / "kits" / "coordinator", "--out", run, *how)
    assert done.code == 0, done.err
    place = Place(kit, work, run)
    assert next_of(place).command == f"afml run approve {run} --kit {kit} --work {work}"
    done = afml("run", "approve", run, "--kit", kit, "--work", work)
    assert done.code == 0, done.err
    assert next_of(place).command.startswith("afml node --kit ")
    space, name = Workspace(work), RunConfig.load(run).run
    space.ledger.rename(tmp_path / "gone")
    lost = f"afml ledger restore BACKUP --ledger {space.ledger} --kit {kit} --head HEADS"
    assert next_of(place).command == lost, "the kit knows of an approval"
    (kit / KIT_HEAD).rename(tmp_path / "head")
    assert next_of(place).command.startswith("afml run approve "), "nothing knows of a ledger"
    space.run(name).mkdir(parents=True)
    shutil.copyfile(tmp_path / "head", space.run(name) / KIT_HEAD)
    assert next_of(place).command == lost, "the work folder knows of a run"
    elsewhere = next_of(Place(kit, work, run, ledger=tmp_path / "gone")).command
    assert elsewhere.startswith("afml node --kit ")
    assert elsewhere.endswith(f" --ledger {tmp_path / 'gone'}")
    shutil.rmtree(space.run(name))
    (tmp_path / "head").rename(kit / KIT_HEAD)
    (tmp_path / "gone").rename(space.ledger)
    space.model(name).mkdir(parents=True)
    assert next_of(place).command.startswith("afml mask ")
    kept = refusal(space, name)
    kept.parent.mkdir()
    kept.write_text("run r: not worth releasing {so it is}; or give --force\n")
    refused = next_of(place)
    assert "refused (run r: not worth releasing {so it is}; or give --force)" in refused.what
    assert refused.command == f"afml model show {space.model(name)}"
    kept.unlink()
    config = RunConfig.load(run)
    other = config.model_copy(update={"task": config.task.model_copy(update={"kind": "statistics"})})
    (tmp_path / "other.json").write_text(other.model_dump_json())
    allowed = (kit / "policy.toml").read_text()
    (kit / "policy.toml").write_text(allowed.replace("approval = true", "approval = false"))
    shown = next_of(Place(kit, work, tmp_path / "other.json"))
    (kit / "policy.toml").write_text(allowed)
    assert (shown.who, shown.command) == ("you", f"afml model show {space.model(name)}"), "such a run has no release"
    space.releases(name).next().folder.mkdir(parents=True)
    assert next_of(place).command.startswith("afml evaluate --own ")
    kept = space.releases(name).newest().assessment
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert next_of(place).command == f"afml release publish --kit {kit} --work {work} --run {run}"
    (space.release(name) / "publication.json").touch()
    assert next_of(place).what == f"send the folder {space.release(name)} to whoever is to have it"
    space.releases(name).next().folder.mkdir()
    assert next_of(place).command.startswith("afml evaluate --own ")


def test_every_command_that_it_names_exists() -> None:
    named = [following.command for steps in _STEPS.values() for _, following in steps if following.command]
    assert len(named) > 10
    typed = [one.replace("{there}", " --ledger ledger").replace("{", "").replace("}", "") for one in named]
    assert [wrong for one in typed if (wrong := problem(one))] == []


def test_a_command_that_reads_the_ledger_is_told_where_it_is() -> None:
    for _, following in _STEPS["node"]:
        words = following.command.replace("{there}", "").split()
        if len(words) > 1:
            context = click.Context(cli)
            command: click.Command | None = cli
            while isinstance(command, click.Group):
                command = command.get_command(context, words.pop(1))
            assert command is not None
            takes = any("--ledger" in option.opts for option in command.params)
            assert takes == ("{there}" in following.command or "--ledger" in words), following.command
