"""Entry point: find the verb, run it, turn errors into one line and an exit code.

What was measured before a gate refused goes to standard output, like the table of what passes.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sqlite3
import sys
from types import FrameType

import click

from afml import __version__
from afml.cli.examples import example_of, with_examples
from afml.core.errors import AfmlError, GateError
from afml.core.plain import plain_line

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Verb -> (module, one line for --help). Modules load lazily, so that `afml aggregator` never imports
# torch, key code or a VCF reader.
VERBS = {
    "keys": ("afml.cli.keys", "Any party: make its own keys, ask for certificates, install the answer."),
    "consortium": ("afml.cli.consortium", "Coordinator: found a consortium and change it; members: countersign."),
    "split": ("afml.cli.data", "Split one VCF into a public panel and institutions (for trials)."),
    "phenotypes": ("afml.cli.data", "Simulate phenotypes for people in VCFs (for trials)."),
    "panel": ("afml.cli.panel", "A public panel as one file: choose its sites, look at it, compare two."),
    "prepare": ("afml.cli.prepare", "Institution: filter sites, build the genotype store, sign a card."),
    "configure": ("afml.cli.configure", "Coordinator: agree on a run from the nodes' cards and sign it."),
    "aggregator": ("afml.cli.aggregator", "Serve one run, or many: admit nodes, add ciphertexts."),
    "policy": ("afml.cli.policy", "Institution: what it allows, whoever signs what."),
    "run": (
        "afml.cli.run",
        "A signed run: read it in plain words, approve it, close it; submit, pause or end it for all.",
    ),
    "node": ("afml.cli.node", "Institution: take part in one run; `afml node leave` ends it."),
    "overlap": ("afml.cli.overlap", "Institution: find people enrolled at two, so that one leaves them out."),
    "next": ("afml.cli.next", "What comes next for a party, and who does it."),
    "status": ("afml.cli.status", "Operator: where runs stand and whom they wait for."),
    "doctor": ("afml.cli.doctor", "Operator: what would keep this party from taking part, and its cure."),
    "console": ("afml.cli.console", "A local page of one party: runs, budgets, ledger, releases; approve a run."),
    "model": ("afml.cli.model", "Look at saved models; export one for other programs."),
    "predict": ("afml.cli.predict", "Institution: what a saved model says of its people."),
    "mask": ("afml.cli.mask", "Institution: write the de-identified records, as a package."),
    "release": ("afml.cli.release", "Publish a released package; recipient: check it, and reproduce its utility."),
    "reassess": ("afml.cli.reassess", "Institution: attack released files again, with what is public today."),
    "evaluate": ("afml.cli.evaluate", "Attack and score releases of a trial; write the report."),
    "reproduce": ("afml.cli.reproduce", "Run the study of docs/ANALYSIS_PLAN.md; resumable."),
    "task": ("afml.cli.task", "Task author: begin a task; try one on made-up people."),
    "plan": ("afml.cli.plan", "What utility to expect of so many people, nodes, and so much privacy."),
    "privacy": ("afml.cli.privacy", "Convert between noise, epsilon, delta and PLE."),
    "audit": ("afml.cli.audit", "Show, verify and export a ledger."),
    "ledger": ("afml.cli.ledger", "Back up, restore and succeed a ledger; hand out kept heads."),
    "withdraw": ("afml.cli.withdraw", "Institution: people take their consent back."),
    "version": ("afml.cli.version", "Which version is installed; --evidence: whether it is what was released."),
    "demo": ("afml.cli.demo", "A whole consortium on this machine."),
    "completion": ("afml.cli.completion", "What makes a shell complete verbs and options."),
}
#: Who begins with them -> verbs, in the order of work.
SECTIONS = {
    "Try it": ("demo", "split", "phenotypes", "plan", "privacy"),
    "Any party": ("keys", "next", "console", "status", "doctor", "version", "completion"),
    "Coordinator": ("consortium", "panel", "configure"),
    "Aggregator": ("aggregator",),
    "Institution: before a run": ("policy", "prepare", "overlap", "run"),
    "Institution: a run and after it": ("node", "model", "predict", "mask", "evaluate", "reassess", "withdraw"),
    "Recipient": ("release",),
    "Privacy officer": ("audit", "ledger"),
    "Task author and study": ("task", "reproduce"),
}


#: Options as PLINK calls them -> what the same is called here, in commands that have it.
AS_PLINK = {
    "--bfile": "--vcf mine.bed",
    "--pfile": "--vcf mine.pgen",
    "--pheno": "--phenotypes mine.tsv",
    "--keep": "--samples names.txt",
    "--remove": "--without names.txt",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = getattr(importlib.import_module(VERBS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return with_examples(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=VERBS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), VERBS[verb][1]) for verb in verbs])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Train a genotype-masking network across institutions without moving a genotype."""


def _interrupted(_: int, __: FrameType | None) -> None:
    """Unwind: staged files go, children are stopped. A polite kill that follows must not cut that short: whoever is
    interrupted together with its parent, from a terminal, is killed by the parent a moment later.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _unknown(error: click.NoSuchOption) -> str:
    """That an option is unknown, with the one that is meant where PLINK calls it so."""
    ours = AS_PLINK.get(error.option_name, "")
    there = {name for one in (error.ctx.command.get_params(error.ctx) if error.ctx else ()) for name in one.opts}
    if ours.partition(" ")[0] in there:
        return f"No such option '{error.option_name}'. Here it is {ours}"
    return plain_line(error.format_message())


def main() -> None:
    """Run the command line; errors of ours become one line on standard error."""
    os.umask(0o077)  # whatever a command writes is its account's alone, temporary files and SQLite's own included
    signal.signal(signal.SIGTERM, _interrupted)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody had it ignored
        signal.signal(signal.SIGINT, _interrupted)
    try:
        cli.main(prog_name="afml", standalone_mode=False)
    except AfmlError as error:
        for line in error.table if isinstance(error, GateError) else ():
            click.echo(plain_line(line))
        click.echo(f"afml: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("afml: interrupted", err=True)
        sys.exit(130)
    except KeyboardInterrupt:
        click.echo("afml: interrupted", err=True)
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.MissingParameter as error:
        shown = "" if error.ctx is None else example_of(error.ctx)
        example = f" For example: {shown}" if shown else ""
        click.echo(f"afml: {plain_line(error.format_message())}{example}", err=True)
        sys.exit(2)
    except click.NoSuchOption as error:
        click.echo(f"afml: {_unknown(error)}", err=True)
        sys.exit(2)
    except click.UsageError as error:
        told = plain_line(error.format_message())
        quoted = " (a pattern of several files goes into quotes)" if "unexpected extra argument" in told else ""
        click.echo(f"afml: {told}{quoted}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"afml: {plain_line(error.format_message())}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        cure = "; make room and start again: what was finished is kept" if error.errno in _FULL else ""
        click.echo(plain_line(f"afml: {error.filename or 'system'}: {error.strerror or error}{cure}"), err=True)
        sys.exit(1)
    except sqlite3.OperationalError as error:  # likewise, met by SQLite; what was not committed is not there
        click.echo(plain_line(f"afml: a database cannot be written ({error}); make room and start again"), err=True)
        sys.exit(1)
