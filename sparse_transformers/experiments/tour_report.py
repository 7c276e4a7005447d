"""The report of a tour: findings first, then the contents, then each section."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparse_transformers.experiments.section import Section
from sparse_transformers.utils.records import from_json
from sparse_transformers.utils.report import bullets, image, join, prose, table

RESULTS = "results.json"


def render_report(results: Mapping[str, Any], sections: Sequence[Section]) -> str:
    """The report as Markdown: a function of the results alone."""
    done = [section for section in sections if section.name in results["sections"]]
    chapters = [_render_section(section, results) for section in done]
    return "\n".join([_render_first_page(results, done, sections), *chapters])


def result_of(section: Section, results: Mapping[str, Any]) -> Any:
    """The section's own dataclass, out of what `results.json` holds."""
    return from_json(section.result, results["sections"][section.name]["result"])


def _render_first_page(
    results: Mapping[str, Any], done: Sequence[Section], sections: Sequence[Section]
) -> str:
    introduction = prose(f"""
        Written by `demo.py` from the `{RESULTS}` of the same run. *Measured* means on the machine
        below, in this run; *counted*, derived exactly from the rule of a pattern; *model, not
        measured*, that only a formula says so. Brackets hold 95% intervals unless a text says
        otherwise.""")
    findings = [
        f"**{section.title}.** {' '.join(section.findings(result_of(section, results)))}"
        for section in done
    ]
    contents = join([f"[{section.title}](#{_anchor(section.title)})" for section in done])
    missing = [section.title for section in sections if section not in done]
    if missing:
        contents += f".\n\nNot measured in this run: {', '.join(missing)}"
    return "\n\n".join(
        [
            "# What sparse attention does, measured",
            introduction,
            "## What was found",
            bullets(findings),
            "## Contents",
            f"{contents}.",
            table(("this run", ""), _about(results)),
            "",
        ]
    )


def _about(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine, text = results["environment"], results["text"]
    tables = [f"{name}, {n_rows:,} rows" for name, n_rows in results["tables"].items()]
    return [
        ("preset", results["preset"]),
        ("seed", str(results["seed"])),
        ("text", f"{text['name']}, {text['bytes']:,} bytes, SHA-256 {text['sha256'][:12]}…"),
        ("claims", "; ".join(tables) or "synthetic"),
        ("started", results["started"]),
        ("wall time", f"{results['seconds']:.0f} s"),
        ("processor", f"{machine['cpu']}, {machine['threads']} threads"),
        ("software", f"Python {machine['python']}, torch {machine['torch']}"),
        ("commit", str(machine["commit"])),
    ]


def _render_section(section: Section, results: Mapping[str, Any]) -> str:
    result = result_of(section, results)
    parts = [
        f"### {part.title}\n\n{image(f'{section.name}/{part.file}', part.title)}\n\n"
        f"{part.describe(result)}\n"
        for part in section.parts
    ]
    # Pages are some megabytes and not stored with the figures, so that a link could be dead.
    pages = [f"{page.introduce}: `{section.name}/{page.file}`\n" for page in section.pages]
    return "\n".join([f"## {section.title}\n", *parts, *pages])


def _anchor(title: str) -> str:
    """The name under which Markdown viewers know a heading."""
    kept = "".join(each for each in title.lower() if each.isalnum() or each in " -")
    return kept.replace(" ", "-")
