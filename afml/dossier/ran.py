"""Facts about the code: which made this dossier and the report, and what it was compared with."""

from __future__ import annotations

from afml.dossier.collector import Collector, has
from afml.dossier.design import designed

_SOFTWARE = (
    ("code.afml", "/afml", "", "version of AFML that made this dossier"),
    ("code.afml_digest", "/code", "", "digest of its source as installed where this was made"),
    ("dossier.made", "/made_ms", "ms since 1970", "when this dossier was made, by the clock of who made it"),
    ("dossier.signer", "/signer", "", "number of the institution that signed this dossier; null: none"),
    ("code.files", "/files", "files", "files of AFML that were installed where this was made"),
    ("code.commit", "/commit", "", "commit of the repository that this was made from a checkout of"),
    ("code.compared", "/compared/0", "", "what these files were compared with; absent: with nothing"),
    ("code.differences", "/differences", "differences", "of it that were found"),
    ("sbom.components", "/sbom/components", "components", "components that it lists"),
    ("sbom.differences", "/sbom/differences", "components", "of these that are here in another version, or lacking"),
)


def ran(c: Collector) -> None:
    """Statements of software.json, run.json, report.json and model.json."""
    if c.document("run.json") is not None:
        c.file(
            "code.task_digest", "run.json", "/task/code", "", "digest of the task's source, as the signed run names it"
        )
    software = c.document("software.json")
    for name, at, unit, words in _SOFTWARE:
        if has(software, at):
            c.file(name, "software.json", at, unit, words)
    for name, file, words in (
        ("sbom.digest", "sbom.json", "SHA-256 of the bill of materials (SBOM) that was given"),
        ("code.manifest", "manifest.sha256", "SHA-256 of the manifest of the release that was given"),
    ):
        if (c.folder / file).is_file():
            c.file(name, file, "", "", words)
    for package in software.get("packages", ()):
        words = f"digest of package {package} as installed where this was made"
        c.file(f"code.package.{package}", "software.json", f"/packages/{package}", "", words)
    for package in software.get("source", ()):
        words = f"digest of the source of package {package} where this was made, as nodes say theirs"
        c.file(f"code.source.{package}", "software.json", f"/source/{package}", "", words)
    designed(c)
    for library in (c.document("report.json") or {}).get("versions", ()):
        words = f"version of {library} where the report was made"
        c.file(f"software.{library}", "report.json", f"/versions/{library}", "", words)
    model = c.document("model.json")
    if model is not None:
        c.file("model.digest", "model.json", "/digest", "", "digest of the trained model")
        if has(model, "/card/draws"):
            words = "name from which public draws follow, as of panel people in the public part; no private batch does"
            c.file("model.draws", "model.json", "/card/draws", "", words)
        if has(model, "/card/trained_on"):
            c.file(
                "model.trained_on", "model.json", "/card/trained_on", "people", "people it was trained on, by its card"
            )
