"""What a dossier holds of its forms: JSON of each, Markdown of two, the registry's entry, a section of the page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment
from markupsafe import Markup, escape

from afml.dossier.design import marked
from afml.dossier.forms.fill import Filled, passages
from afml.dossier.forms.registry import entry

NOTE = (
    '"By design" says how the code is written to work, by the word of its makers: nothing in the dossier shows it. '
    "Statements whose id begins with design name the file that is meant, a test of it and where it is argued, with "
    "digests as far as these were at hand; others beside it say only how this run was set. Figures of attacks and "
    "of usefulness are the word of who signed the dossier. What is not recorded the system could have answered, and "
    "this dossier's evidence does not."
)
"""What must be known to read an answer that stands apart from the page."""

_IN_MARKDOWN = ("model_card", "data_sheet")


def documents(filled: Sequence[Filled]) -> dict[str, bytes]:
    """Files of the dossier by their path in it, all under `forms/`.

    Args:
        filled: All forms.
    """
    made = {f"forms/{one.form.id}.json": _json({"note": NOTE, **one.to_json()}) for one in filled}
    for one in filled:
        if one.form.id in _IN_MARKDOWN:
            made[f"forms/{one.form.id}.md"] = markdown(one).encode()
        if one.form.id == "dp_registry":
            made["forms/registry_entry.json"] = _json(entry(one))
    return made


def section(filled: Sequence[Filled], numbers: Mapping[str, int]) -> Markup:
    """The forms as a section of the dossier's page, HTML; a statement is linked as `#its.id`.

    What several answers say is said once, before the forms, and cited by a letter; files hold each answer whole.

    Args:
        filled: All forms.
        numbers: Of the statements on the page, by their ids.
    """
    template = files("afml.dossier.forms").joinpath("templates/forms.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"marked": marked, "code": _code}
    return Markup(environment.from_string(template).render(filled=filled, numbers=numbers, shared=passages(filled)))


def markdown(filled: Filled) -> str:
    """A form as Markdown, for people and for places where model cards are kept.

    Args:
        filled: The form.
    """
    form = filled.form
    lines = [f"# {form.title}", "", f"Fields after: {form.cite}, {form.url}.", "", NOTE, ""]
    if filled.simulation:
        lines += ["**The run was a simulation with a seed: it protects nobody.**", ""]
    if filled.lacks:
        lines += [filled.lacks, ""]
    here = ""
    for answer in filled.answers:
        if answer.field.section != here:
            here = answer.field.section
            lines += [f"## {here.capitalize()}", ""]
        text = answer.text if answer.filled else f"*{answer.text}*"
        names = ", ".join(f"`{one.id}`" for one in answer.stands_on)
        lines += [f"**{answer.field.asks}** {text}" + (f" [{names}]" if names else ""), ""]
    return "\n".join(lines)


def edited(written: bytes, made: bytes) -> list[str]:
    """Ids of the fields of a form's JSON that are not what they were made as; none where it is no such file.

    Args:
        written: As it is found.
        made: As the statements make it.
    """
    try:
        found, right = json.loads(written), json.loads(made)
        lines = {line["id"]: line for line in found["fields"]}
        return [line["id"] for line in right["fields"] if lines.get(line["id"]) != line]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def told(filled: Sequence[Filled]) -> list[str]:
    """The share of each form that evidence fills, one line each, for the terminal; last what would fill more.

    Args:
        filled: All forms.
    """
    shares = [
        f"{one.form.title}: {sum(answer.filled for answer in one.system)} of {len(one.system)} fields that concern the "
        f"system are filled by evidence ({100 * one.share:.0f} %), {len(one.answers) - len(one.system)} are the "
        "institution's"
        for one in filled
    ]
    return shares + list(dict.fromkeys(one.lacks for one in filled if one.lacks))


def _code(text: str) -> Markup:
    """A text as HTML, commands in it as such."""
    return Markup(re.sub(r"`(.*?)`", r"<code>\1</code>", str(escape(text))))


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
