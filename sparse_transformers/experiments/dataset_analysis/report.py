"""A dataset survey in words: every verdict follows from its numbers."""

from collections.abc import Callable, Sequence

from sparse_transformers.experiments.dataset_analysis.measure import DatasetSurvey, SurveyedDataset
from sparse_transformers.utils.analysis.bias_findings import judge_bias
from sparse_transformers.utils.analysis.dataset_bias import FALSE_ALARMS
from sparse_transformers.utils.analysis.dataset_findings import by_severity, judge_table
from sparse_transformers.utils.analysis.dataset_records import CLEAR, Finding
from sparse_transformers.utils.analysis.dataset_report import list_findings, text_table
from sparse_transformers.utils.analysis.label_probes import NUMBERS
from sparse_transformers.utils.report import NO_VALUE, bullets, join, percent, prose, table
from sparse_transformers.utils.verdicts import spell

MOST_WORDS = 8


def findings(survey: DatasetSurvey) -> list[str]:
    """Where the label leaks, and how far the leaking numbers alone get."""
    leaking = [each.name for each in survey.datasets if each.leaks]
    tight = [each.name for each in survey.datasets if each.leaks is False]
    sentences = [f"A label leak was found in: {join(leaking)}; none in: {join(tight)}."]
    for each in survey.datasets:
        probes = each.analysis.bias.probes if each.leaks and each.analysis.bias else None
        if probes is not None and probes.advantage is not None:
            numbers = probes.find(NUMBERS)
            assert numbers is not None  # else there is no advantage of theirs
            gain = spell(probes.advantage, "{:+.1%}")
            sentences.append(
                f"{each.name}: from the numbers alone a logistic regression is right in "
                f"{numbers.accuracy.estimate:.1%} of the unseen rows, {gain} beside {probes.rival}."
            )
    return sentences


def describe_labels(survey: DatasetSurvey) -> str:
    """Labels, splits and quality."""
    return "\n\n".join(
        [
            prose("""
            Whoever always names the most common label is right in its share of the rows. *Quality*
            is a hundred times the mean of four shares: cells that are filled, rows that repeat no
            earlier text, rows without an odd text, rows whose text has one label. Leaks do not
            count in it."""),
            table(list(_overview(survey.datasets[0])), _rows(survey, _overview)),
            _listed(survey, lambda each: judge_table(each.analysis)),
        ]
    )


def describe_texts(survey: DatasetSurvey) -> str:
    """Lengths and readability."""
    tables = {
        text_table(each.analysis.text_analysis): None
        for each in survey.datasets
        if each.analysis.text_analysis
    }
    return "\n\n".join(
        [
            prose("""
            Could a model guess from length or plainness alone? Boxes reach from quartile to
            quartile, whiskers over nine tenths of the texts. Flesch reading ease falls from 100
            (very easy) to below 30 (very hard); syllables are counted by rule. Tables that are
            equal stand once."""),
            *tables,
            bullets(_each(survey, _on_lengths)),
        ]
    )


def describe_bias(survey: DatasetSurvey) -> str:
    """What gives the label away."""
    return "\n\n".join(
        [
            prose("""
            Left: what each column alone tells of the label beyond chance, beside what 95% of
            shuffled labels stay below. Right: simple models that see only the words, the form, the
            metadata or the numbers, beside the same models with shuffled labels."""),
            _listed(
                survey, lambda each: judge_bias(each.analysis.bias) if each.analysis.bias else []
            ),
            table(
                ["data set, what is seen", "accuracy", "shuffled: mean, highest"], _probes(survey)
            ),
            prose(f"""
            **Limits.** Text, form and metadata go to naive Bayes, numbers to logistic regression,
            cross-validated on unseen groups where there are any: better models may find more.
            Columns are compared with the label one at a time, with a chance of at most
            {percent(FALSE_ALARMS)} of any false alarm."""),
        ]
    )


def describe_words(survey: DatasetSurvey) -> str:
    """The vocabulary."""
    return "\n\n".join(
        [
            prose("""
            *Distinct in 1,000*: distinct words in a random thousand of the running words, on
            average. *Unknown*: the share of the held-out words that no training row uses."""),
            table(list(_vocabulary(survey.datasets[0])), _rows(survey, _vocabulary)),
            bullets(_each(survey, _on_phrases)),
        ]
    )


def _rows(
    survey: DatasetSurvey, describe: Callable[[SurveyedDataset], dict[str, str]]
) -> list[list[str]]:
    return [list(describe(each).values()) for each in survey.datasets]


def _overview(dataset: SurveyedDataset) -> dict[str, str]:
    labels, quality = dataset.analysis.label_analysis, dataset.analysis.data_quality
    n_rows = dataset.analysis.basic_stats.total_samples
    extremes = [NO_VALUE, NO_VALUE]
    if labels is not None:
        extremes = [
            f"{name} {percent(labels.label_proportions[name])}"
            for name in (labels.most_common_label, labels.least_common_label)
        ]
    return {
        "data set": dataset.name,
        "rows": f"{n_rows:,}",
        "labels": "none" if labels is None else str(labels.num_unique_labels),
        "most common": extremes[0],
        "rarest": extremes[1],
        "repeated texts": percent(quality.duplicates.repeated_normalized_texts / n_rows),
        "empty cells": percent(1 - quality.score_terms["filled_cells"]),
        "quality": f"{quality.overall_quality_score:.1f}",
    }


def _vocabulary(dataset: SurveyedDataset) -> dict[str, str]:
    texts = dataset.analysis.text_analysis.get(str(dataset.main_text))
    names = ["words", "distinct", "stems", "used once", "distinct in 1,000", "unknown"]
    if texts is None:
        return {"data set": dataset.name, **dict.fromkeys(names, NO_VALUE)}
    words = texts.vocabulary
    per_thousand = words.distinct_per_thousand
    unseen = [pair.unseen_word_share for pair in dataset.analysis.split_overlap] or [None]
    counts = [f"{count:,}" for count in (words.words, words.distinct_words, words.distinct_stems)]
    cells = [
        *counts,
        _percent_or_none(words.once_share),
        NO_VALUE if per_thousand is None else f"{per_thousand:.0f}",
        _percent_or_none(unseen[0]),
    ]
    return {"data set": dataset.name, **dict(zip(names, cells, strict=True))}


def _percent_or_none(share: float | None) -> str:
    return NO_VALUE if share is None else percent(share)


def _probes(survey: DatasetSurvey) -> list[list[str]]:
    rows = []
    for dataset in survey.datasets:
        probes = dataset.analysis.bias.probes if dataset.analysis.bias else None
        if probes is not None:
            rows.append([f"{dataset.name}, most common label", f"{probes.majority:.3f}", NO_VALUE])
            rows += [
                [
                    f"{dataset.name}, {probe.name}",
                    spell(probe.accuracy),
                    f"{probe.shuffled_mean:.3f}, {probe.shuffled_high:.3f}",
                ]
                for probe in probes.probes
            ]
    return rows


def _listed(survey: DatasetSurvey, judge: Callable[[SurveyedDataset], Sequence[Finding]]) -> str:
    """What was found, the gravest first, and the names of what was not; equal lists only once."""
    names: dict[str, list[str]] = {}
    for dataset in survey.datasets:
        ordered = by_severity(judge(dataset))
        clear = [
            found.title[0].lower() + found.title[1:] for found in ordered if found.severity == CLEAR
        ]
        text = list_findings(found for found in ordered if found.severity != CLEAR)
        text += f"\n\nLooked for, and as it should be: {join(clear)}." if clear else ""
        names.setdefault(text, []).append(f"*{dataset.name}*")
    return "\n\n".join(f"{join(equal)}:\n\n{found}" for found, equal in names.items())


def _each(survey: DatasetSurvey, tell: Callable[[SurveyedDataset], str | None]) -> list[str]:
    """A sentence about each dataset; equal ones only once."""
    names: dict[str, list[str]] = {}
    for dataset in survey.datasets:
        if text := tell(dataset):
            names.setdefault(text, []).append(f"*{dataset.name}*")
    return [f"{join(equal)}: {text}" for text, equal in names.items()]


def _on_lengths(dataset: SurveyedDataset) -> str | None:
    by_label = dataset.by_label()
    if len(by_label) < 2:
        return None
    words, ease = (
        [(each[place].median, label) for label, each in by_label.items()] for place in (0, 1)
    )
    return (
        f"by label, the median number of words is {_extremes(words, 0)}, and the median reading "
        f"ease {_extremes(ease, 1)}."
    )


def _extremes(medians: Sequence[tuple[float, str]], decimals: int) -> str:
    by_median = sorted(medians, key=lambda each: each[0])
    (low, lowest), (high, highest) = by_median[0], by_median[-1]
    if low == high:
        return f"{low:.{decimals}f} throughout"
    return f"from {low:.{decimals}f} ({lowest}) to {high:.{decimals}f} ({highest})"


def _on_phrases(dataset: SurveyedDataset) -> str | None:
    texts = dataset.analysis.text_analysis.get(str(dataset.main_text))
    if texts is None:
        return None
    phrases = list(texts.common_patterns.common_phrases)[:MOST_WORDS]
    return f"words that stand together more than chance: {join(phrases)}."
