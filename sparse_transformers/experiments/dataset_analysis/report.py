"""A dataset survey in words: every verdict follows from its numbers."""

from collections.abc import Callable, Sequence

from sparse_transformers.experiments.dataset_analysis.measure import DatasetSurvey, SurveyedDataset
from sparse_transformers.utils.analysis.bias_findings import judge_bias
from sparse_transformers.utils.analysis.dataset_bias import FALSE_ALARMS
from sparse_transformers.utils.analysis.dataset_findings import by_severity, judge_table
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    MINOR,
    MODERATE,
    SERIOUS,
    Finding,
)
from sparse_transformers.utils.report import NO_VALUE, bullets, join, percent, prose, table
from sparse_transformers.utils.verdicts import spell

MOST_WORDS = 5
GRAVE = (MODERATE, SERIOUS)


def findings(survey: DatasetSurvey) -> list[str]:
    """Where the label leaks, and how far the leaking numbers alone get."""
    leaking = [each for each in survey.datasets if each.leaks]
    tight = [each.name for each in survey.datasets if each.leaks is False]
    found = f"A label leak was found in: {join([each.name for each in leaking])}"
    sentences = [f"{found}; none in: {join(tight)}." if tight else f"{found}."]
    for each in leaking:
        probes = each.analysis.bias.probes if each.analysis.bias else None
        if probes is not None and probes.advantage is not None:
            sentences.append(
                f"From the numbers of {each.name} alone a regression is right in more of the "
                f"unseen rows than from its {probes.rival}: {spell(probes.advantage, '{:+.1%}')}."
            )
    return [" ".join(sentences)]


def describe_labels(survey: DatasetSurvey) -> str:
    """Labels, splits and quality."""
    return "\n\n".join(
        [
            prose("""
            *Quality* is a hundred times the mean of four shares: cells that are filled, rows that
            repeat no earlier text, rows without an odd text, rows whose text has one label."""),
            _table(survey, _overview),
            _listed(survey, lambda each: judge_table(each.analysis)),
        ]
    )


def describe_texts(survey: DatasetSurvey) -> str:
    """Lengths and readability."""
    return prose("""
        Could a model guess from length or plainness alone? Boxes reach from quartile to quartile,
        whiskers over nine tenths of the texts. Flesch reading ease falls from 100 (very easy) to
        below 30 (very hard); syllables are counted by rule.""")


def describe_bias(survey: DatasetSurvey) -> str:
    """What gives the label away."""
    return "\n\n".join(
        [
            prose("""
            Left: what each column alone tells of the label, beside what 95% of shuffled labels stay
            below. Right, and in the table: the accuracy of simple models that see one part of a
            row, with its interval, and the highest with shuffled labels."""),
            _listed(
                survey, lambda each: judge_bias(each.analysis.bias) if each.analysis.bias else []
            ),
            table(["what is seen", *(each.name for each in survey.datasets)], _probes(survey)),
            prose(f"""
            **Limits.** Better models than naive Bayes and logistic regression may find more. The
            chance of any false alarm among the columns is at most {percent(FALSE_ALARMS)}."""),
        ]
    )


def describe_words(survey: DatasetSurvey) -> str:
    """The vocabulary."""
    return "\n\n".join(
        [
            prose("""
            *Distinct in 1,000*: distinct words in a random thousand of the running words, on
            average. *Unknown*: the share of the held-out words that no training row uses."""),
            _table(survey, _vocabulary),
            _each(survey, _on_phrases),
        ]
    )


def _table(survey: DatasetSurvey, describe: Callable[[SurveyedDataset], dict[str, str]]) -> str:
    """A row for each dataset, and one for all that are equal."""
    rows = survey.alike(describe)
    return table(["data set", *rows[0][1]], [[names, *cells.values()] for names, cells in rows])


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
        return dict.fromkeys(names, NO_VALUE)
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
    return dict(zip(names, cells, strict=True))


def _percent_or_none(share: float | None) -> str:
    return NO_VALUE if share is None else percent(share)


def _probes(survey: DatasetSurvey) -> list[list[str]]:
    """A row for each part of a row that is seen, a column for each dataset."""
    cells: dict[str, dict[str, str]] = {"nothing: the most common label": {}}
    for dataset in survey.datasets:
        probes = dataset.analysis.bias.probes if dataset.analysis.bias else None
        if probes is not None:
            cells["nothing: the most common label"][dataset.name] = f"{probes.majority:.3f}"
            for probe in probes.probes:
                shown = f"{spell(probe.accuracy)}; {probe.shuffled_high:.3f}"
                cells.setdefault(probe.name, {})[dataset.name] = shown
    return [
        [seen, *(row.get(dataset.name, NO_VALUE) for dataset in survey.datasets)]
        for seen, row in cells.items()
    ]


def _listed(survey: DatasetSurvey, judge: Callable[[SurveyedDataset], Sequence[Finding]]) -> str:
    """What was found, the gravest in full, and the titles of the rest."""

    def tell(dataset: SurveyedDataset) -> str:
        ordered = by_severity(judge(dataset))
        grave = [f"**{found.title}.** {found.text}" for found in ordered if found.severity in GRAVE]
        minor = [found.title for found in ordered if found.severity == MINOR]
        clear = [found.title for found in ordered if found.severity == CLEAR]
        others = {"Minor": minor, "Clear": clear}
        return " ".join(
            [*grave, *(f"{kind}: {'; '.join(all_)}." for kind, all_ in others.items() if all_)]
        )

    return _each(survey, tell)


def _each(survey: DatasetSurvey, tell: Callable[[SurveyedDataset], str | None]) -> str:
    """A sentence about each dataset; equal ones only once."""
    return bullets([f"*{names}*: {text}" for names, text in survey.alike(tell)])


def _on_phrases(dataset: SurveyedDataset) -> str | None:
    texts = dataset.analysis.text_analysis.get(str(dataset.main_text))
    if texts is None:
        return None
    phrases = list(texts.common_patterns.common_phrases)[:MOST_WORDS]
    if not phrases:
        return None
    return f"words that stand together more than chance: {join(phrases)}."
