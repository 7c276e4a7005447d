"""The judgement on a dataset: every check in sentences, its severity drawn from numbers."""

from collections.abc import Iterable, Iterator

from sparse_transformers.utils.analysis.bias_findings import judge_bias
from sparse_transformers.utils.analysis.data_quality import DataQuality
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    MINOR,
    MODERATE,
    SERIOUS,
    SEVERITIES,
    DatasetAnalysis,
    Finding,
)
from sparse_transformers.utils.analysis.label_balance import (
    MODERATELY_BALANCED,
    WELL_BALANCED,
    LabelDistribution,
)
from sparse_transformers.utils.analysis.split_overlap import SplitPair
from sparse_transformers.utils.report import join, number, percent

MANY_SHARED_TEXTS = 0.05
"""From this share of held-out rows on, texts that were trained on are a serious flaw."""
MANY_REPEATS = 0.05
"""From this share of all rows on, repeated texts or contradictions are more than a blemish."""
MANY_MISSING = 0.05
"""From this share of a column on, missing cells are mentioned by name."""


def judge_dataset(analysis: DatasetAnalysis) -> tuple[Finding, ...]:
    """The outcomes of all checks that the table allows, the gravest first."""
    on_bias = [] if analysis.bias is None else judge_bias(analysis.bias)
    return by_severity([*on_bias, *judge_table(analysis)])


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The gravest first."""
    return tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))


def judge_table(analysis: DatasetAnalysis) -> list[Finding]:
    """The outcomes of the checks for shared splits, imbalance, repeats, gaps and odd texts."""
    findings: list[Finding] = []
    for pair in analysis.split_overlap:
        findings.append(_on_shared_texts(pair))
        if analysis.basic_stats.columns.group is not None:
            findings.append(_on_shared_groups(pair, analysis.basic_stats.columns.group))
    if analysis.label_analysis is not None:
        findings.append(_on_balance(analysis.label_analysis))
    findings += _on_rows(analysis.data_quality, analysis.basic_stats.total_samples)
    return findings


def _on_shared_texts(pair: SplitPair) -> Finding:
    if not pair.rows_with_shared_text:
        return Finding(
            CLEAR,
            f"No text in both {pair.seen} and {pair.held_out}",
            "Capitals, blanks and punctuation were ignored in the comparison.",
        )
    share = pair.rows_with_shared_text / pair.held_out_rows
    return Finding(
        SERIOUS if share >= MANY_SHARED_TEXTS else MODERATE,
        f"Texts in both {pair.seen} and {pair.held_out}",
        f"{pair.shared_normalized_texts:,} texts stand in both, {pair.shared_texts:,} of them "
        f"letter by letter. They fill {pair.rows_with_shared_text:,} of the "
        f"{pair.held_out_rows:,} rows of {pair.held_out} ({_exact_percent(share)}): what was "
        "learned by heart scores there. Drop these rows from one side.",
    )


def _on_shared_groups(pair: SplitPair, group: str) -> Finding:
    splits = f"{pair.seen} and {pair.held_out}"
    if not pair.shared_groups or pair.rows_with_shared_group is None:
        return Finding(
            CLEAR, f"No `{group}` in both {splits}", "Each has all its rows on one side."
        )
    share = pair.rows_with_shared_group / pair.held_out_rows
    return Finding(
        MODERATE,
        f"The same `{group}` in both {splits}",
        f"{pair.shared_groups:,} stand in both; {pair.rows_with_shared_group:,} of the "
        f"{pair.held_out_rows:,} rows of {pair.held_out} ({_exact_percent(share)}) are theirs. A "
        f"score there is not one on a `{group}` never seen before.",
    )


def _on_balance(balance: LabelDistribution) -> Finding:
    most, least = balance.most_common_label, balance.least_common_label
    shares = balance.label_proportions
    measured = (
        f"Of {balance.num_unique_labels} labels the most common, {most}, has "
        f"{percent(shares[most])} of the rows and the least common, {least}, "
        f"{percent(shares[least])}: {balance.balance_ratio:.2f} rows for one. Chi-square against "
        f"equal counts is {balance.imbalance_severity:,.1f} "
        f"(p {_p_value(balance.imbalance_p_value)})."
    )
    advice = (
        f"Always guessing {most} scores {percent(shares[most])}; report a measure that weighs all "
        "labels alike (macro F1) beside the accuracy."
    )
    if balance.balance_ratio > WELL_BALANCED:
        return Finding(CLEAR, "Labels are balanced", measured)
    severity = MINOR if balance.balance_ratio > MODERATELY_BALANCED else MODERATE
    return Finding(severity, f"Labels are not balanced: {least} is rare", f"{measured} {advice}")


def _on_rows(quality: DataQuality, rows: int) -> Iterator[Finding]:
    yield _on_repeats(quality, rows)
    contradictions = quality.inconsistencies
    if contradictions.label_inconsistencies:
        share = contradictions.contradictory_rows / rows
        yield Finding(
            MODERATE if share >= MANY_REPEATS else MINOR,
            "One text, several labels",
            f"{contradictions.label_inconsistencies:,} texts bear more than one label, in "
            f"{contradictions.contradictory_rows:,} rows ({_exact_percent(share)}): nobody can be "
            "right about all of them.",
        )
    else:
        yield Finding(CLEAR, "No contradictory labels", "Every text has one label.")
    yield _on_missing(quality, rows)
    yield _on_odd_texts(quality)


def _on_repeats(quality: DataQuality, rows: int) -> Finding:
    repeats = quality.duplicates
    if not repeats.repeated_normalized_texts:
        return Finding(CLEAR, "No repeated texts", "Capitals, blanks and punctuation aside.")
    share = repeats.repeated_normalized_texts / rows
    return Finding(
        MODERATE if share >= MANY_REPEATS else MINOR,
        "Repeated texts",
        f"{repeats.repeated_normalized_texts:,} rows ({_exact_percent(share)}) repeat the text of "
        f"an earlier one, {repeats.repeated_texts:,} of them letter by letter, and "
        f"{repeats.duplicate_rows:,} the whole row. Split the rows so that repeats stay on one "
        "side.",
    )


def _on_missing(quality: DataQuality, rows: int) -> Finding:
    missing = quality.missing_data
    if not missing.total_missing_values:
        return Finding(CLEAR, "No missing cells", "Every cell holds something.")
    by_share = sorted(missing.columns_with_missing.items(), key=lambda each: -each[1])
    many = [f"`{name}` {percent(n / rows)}" for name, n in by_share if n / rows >= MANY_MISSING]
    worst = f" Empty most often: {join(many)}." if many else ""
    return Finding(
        MINOR,
        "Missing cells",
        f"{missing.total_missing_values:,} cells are empty, in "
        f"{percent(missing.rows_with_missing / rows)} of the rows.{worst}",
    )


def _on_odd_texts(quality: DataQuality) -> Finding:
    sentences = []
    for name, each in quality.text_quality.items():
        counts = {
            "empty or very short": each.empty_or_very_short,
            "extremely long": each.extremely_long,
            "full of signs": each.high_special_char_ratio,
            "with a character or word many times in a row": each.potential_spam,
        }
        if any(counts.values()):
            odd = join([f"{count:,} {problem}" for problem, count in counts.items() if count])
            sentences.append(f"Of the texts in `{name}`: {odd}.")
    if not sentences:
        return Finding(CLEAR, "No odd texts", "None is empty, very short, far too long or spam.")
    return Finding(MINOR, "Odd texts", " ".join(sentences))


def _exact_percent(share: float) -> str:
    """A share with two digits that count: a few rows of many are not 0%."""
    return f"{number(100 * share, 2)}%"


def _p_value(value: float) -> str:
    return "below .001" if value < 0.001 else f"= {value:.3f}"
