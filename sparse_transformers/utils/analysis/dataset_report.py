"""The analysis of a dataset as a Markdown report: judgement first, numbers after."""

from collections.abc import Iterable

from sparse_transformers.utils.analysis.dataset_findings import judge_dataset
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    BiasAnalysis,
    DatasetAnalysis,
    Finding,
)
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.analysis.label_balance import LabelDistribution
from sparse_transformers.utils.analysis.label_probes import LabelProbes
from sparse_transformers.utils.analysis.text_statistics import TextPatterns
from sparse_transformers.utils.report import bullets, join, percent, prose, table

MOST_ASSOCIATIONS = 15
MOST_WORDS = 12


def write_report(analysis: DatasetAnalysis) -> str:
    """Findings in the order of severity, what was looked for and not found, then tables."""
    findings = judge_dataset(analysis)
    chapters = [
        f"# Dataset report\n\n{_describe_table(analysis)}",
        f"## Findings\n\n{list_findings(each for each in findings if each.severity != CLEAR)}",
        "## Looked for and not found\n\n"
        f"{list_findings(each for each in findings if each.severity == CLEAR)}",
    ]
    if analysis.label_analysis is not None:
        chapters.append(f"## Labels\n\n{label_table(analysis.label_analysis)}")
    if analysis.text_analysis:
        chapters.append(f"## Texts\n\n{_describe_texts(analysis.text_analysis)}")
    if analysis.bias is not None:
        chapters.append(f"## What goes with the label\n\n{association_table(analysis.bias)}")
        if analysis.bias.probes is not None:
            chapters.append(f"## How far simple models get\n\n{probe_table(analysis.bias.probes)}")
    chapters.append(f"## Quality\n\n{_describe_quality(analysis)}")
    return "\n\n".join(chapters) + "\n"


def list_findings(findings: Iterable[Finding]) -> str:
    """A Markdown list, in the order given; "None." if it is empty."""
    sentences = [
        f"**{each.title}**{'' if each.severity == CLEAR else f' ({each.severity})'}. {each.text}"
        for each in findings
    ]
    return bullets(sentences) if sentences else "None."


def label_table(balance: LabelDistribution) -> str:
    """Rows and share of every label."""
    rows = [
        (label, f"{count:,}", percent(balance.label_proportions[label]))
        for label, count in balance.label_counts.items()
    ]
    return table(("label", "rows", "share"), rows)


def association_table(bias: BiasAnalysis) -> str:
    """The columns that go with the label, the strongest first."""
    headers = (
        "column",
        "values",
        "of the label explained",
        "95% of shuffled labels",
        "adjusted mutual information",
        "Cramér's V",
        "p, adjusted",
    )
    rows = [
        (
            f"`{each.column}`",
            f"{each.values:,}",
            f"{100 * each.explained:.2f}%",
            f"{100 * each.shuffled_high:.2f}%",
            f"{each.adjusted_mutual_information:.4f}",
            f"{each.cramers_v:.3f}",
            f"{each.adjusted_p_value:.3f}",
        )
        for each in bias.associations[:MOST_ASSOCIATIONS]
    ]
    return table(headers, rows) if rows else "There is no column to compare with the label."


def probe_table(probes: LabelProbes) -> str:
    """What models see, what they achieve, and what they achieve on shuffled labels."""
    headers = ("the model sees", "accuracy", "95% interval", "shuffled, mean", "shuffled, highest")
    rows = [
        ("nothing: the most common label", f"{probes.majority:.3f}", "", "", ""),
        *(
            (
                each.name,
                f"{each.accuracy.estimate:.3f}",
                f"{each.accuracy.low:.3f} to {each.accuracy.high:.3f}",
                f"{each.shuffled_mean:.3f}",
                f"{each.shuffled_high:.3f}",
            )
            for each in probes.probes
        ),
    ]
    by_group = (
        "" if probes.grouped_by is None else f", every `{probes.grouped_by}` in one fold only"
    )
    return (
        table(headers, rows)
        + "\n\n"
        + prose(f"""
        {probes.folds}-fold cross-validation on {probes.rows:,} rows{by_group}. *Form* is the number
        of words, digits and negations. Text, form and metadata go to naive Bayes, numbers to
        logistic regression: quick models, which better ones exceed.""")
    )


def text_table(texts: dict[str, TextPatterns]) -> str:
    """Lengths, readability and vocabulary of every text column."""
    headers = (
        "column",
        "texts",
        "words, median (quartiles)",
        "Flesch ease, median",
        "school years (Kincaid), median",
        "distinct words",
        "of 1,000 words distinct",
    )
    rows = [
        (
            f"`{name}`",
            f"{each.non_empty_texts:,}",
            _median_and_quartiles(each.word_length_stats),
            _median(each.readability.flesch_reading_ease),
            _median(each.readability.flesch_kincaid_grade),
            f"{each.vocabulary.distinct_words:,}",
            _or_dash(each.vocabulary.distinct_per_thousand, 0),
        )
        for name, each in texts.items()
    ]
    return table(headers, rows)


def _describe_table(analysis: DatasetAnalysis) -> str:
    stats = analysis.basic_stats
    splits = [f"{count:,} in {name}" for name, count in stats.rows_per_split.items()]
    groups = "" if not stats.groups else f" by {stats.groups:,} of `{stats.columns.group}`"
    label = stats.columns.label
    return prose(f"""
        {stats.total_samples:,} rows{groups}{f" ({join(splits)})" if splits else ""}. Text:
        {join([f"`{name}`" for name in stats.columns.texts])}. Label:
        {"none" if label is None else f"`{label}`"}. Quality score:
        {analysis.data_quality.overall_quality_score:.1f} of 100.""")


def _describe_texts(texts: dict[str, TextPatterns]) -> str:
    words = [
        f"Common in `{name}`: {join(list(each.common_patterns.common_words)[:MOST_WORDS])}. "
        f"Together: {join(list(each.common_patterns.common_phrases)[:MOST_WORDS])}."
        for name, each in texts.items()
    ]
    return f"{text_table(texts)}\n\n{bullets(words)}"


def _describe_quality(analysis: DatasetAnalysis) -> str:
    quality = analysis.data_quality
    meanings = {
        "filled_cells": "cells that are filled",
        "new_rows": "rows that repeat no earlier text",
        "sound_texts": "rows without an odd text",
        "agreeing_rows": "rows whose text has one label",
    }
    rows = [(meanings[name], f"{100 * share:.2f}%") for name, share in quality.score_terms.items()]
    return (
        f"{table(('what is sound', 'share'), rows)}\n\nThe score of "
        f"{quality.overall_quality_score:.1f} is a hundred times the mean of these shares. It says "
        "nothing of leaks, shortcuts and shared splits."
    )


def _median(distribution: Distribution | None) -> str:
    return _or_dash(None if distribution is None else distribution.median, 1)


def _median_and_quartiles(distribution: Distribution | None) -> str:
    if distribution is None:
        return "–"
    return f"{distribution.median:.0f} ({distribution.q25:.0f} to {distribution.q75:.0f})"


def _or_dash(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:,.{decimals}f}"
