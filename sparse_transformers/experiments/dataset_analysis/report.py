"""A dataset survey in words: every verdict follows from its numbers."""

from collections.abc import Mapping, Sequence

from sparse_transformers.experiments.dataset_analysis.measure import DatasetSurvey, SurveyedDataset
from sparse_transformers.utils.analysis.bias_findings import judge_bias
from sparse_transformers.utils.analysis.dataset_bias import FALSE_ALARMS
from sparse_transformers.utils.analysis.dataset_findings import by_severity, judge_table
from sparse_transformers.utils.analysis.dataset_records import CLEAR, Finding
from sparse_transformers.utils.analysis.dataset_report import list_findings, probe_table, text_table
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.report import bullets, join, percent, prose, table

MOST_WORDS = 8


def describe_labels(survey: DatasetSurvey) -> str:
    """Labels, splits and quality."""
    headers = (
        "data set",
        "rows",
        "labels",
        "most common",
        "rarest",
        "rows that repeat a text",
        "empty cells",
        "quality of 100",
    )
    return "\n\n".join(
        [
            prose("""
            A classifier that always names the most common label scores its share, so that share is
            where accuracy begins to mean something. The quality is a hundred times the mean of four
            shares: cells that are filled, rows that repeat no earlier text, rows without an odd
            text, and rows whose text has one label. It says nothing of leaks."""),
            table(headers, [_overview(each) for each in survey.datasets]),
            _findings({each.name: judge_table(each.analysis) for each in survey.datasets}),
        ]
    )


def describe_texts(survey: DatasetSurvey) -> str:
    """Lengths and readability."""
    return "\n\n".join(
        [
            prose("""
            If true claims were longer or plainer than false ones, a model could guess without
            understanding. Boxes reach from quartile to quartile, whiskers over nine tenths of the
            texts. Flesch reading ease is a formula of words per sentence and syllables per word:
            about 100 for very easy and below 30 for very hard. Syllables are counted by rule, with
            no dictionary."""),
            *(
                f"*{each.name}*\n\n{text_table(each.analysis.text_analysis)}"
                for each in survey.datasets
                if each.analysis.text_analysis
            ),
            bullets([_on_lengths(each) for each in survey.datasets if len(each.lengths) > 1]),
            prose("""
            **Limits.** Readability formulas were made for passages of a hundred words, not for
            single sentences; between labels they compare, for one claim they say little."""),
        ]
    )


def describe_bias(survey: DatasetSurvey) -> str:
    """What gives the label away."""
    leaking = [each.name for each in survey.datasets if _leaks(each)]
    tight = [each.name for each in survey.datasets if _leaks(each) is False]
    return "\n\n".join(
        [
            prose("""
            Left in the figure: how much of what there is to know about the label each column tells,
            beyond what it would seem to tell by chance; grey is what 95% of shuffled labels stay
            below. Right: what simple models score that see only the words of the text, only its
            form (words, digits and negations, counted), only the metadata, or only the numbers;
            grey is the mean and the highest score of the same models after the labels were
            shuffled."""),
            prose(f"A label leak was found in: {join(leaking)}. None was found in: {join(tight)}."),
            *(
                "\n\n".join(
                    [
                        _findings({each.name: judge_bias(bias)}),
                        *([] if bias.probes is None else [probe_table(bias.probes)]),
                    ]
                )
                for each in survey.datasets
                if (bias := each.analysis.bias) is not None
            ),
            prose(f"""
            **Limits.** The models are quick ones: a better reader of the text narrows the advantage
            of the numbers, and a cleverer user of the metadata may find more. Columns are compared
            with the label one at a time, with a chance of at most {percent(FALSE_ALARMS)} of any
            false alarm in a data set where nothing goes with the label."""),
        ]
    )


def describe_words(survey: DatasetSurvey) -> str:
    """The vocabulary."""
    headers = (
        "data set",
        "running words",
        "distinct",
        "stems",
        "of the distinct, used once",
        "distinct in 1,000 words",
        "unknown words held out",
    )
    return "\n\n".join(
        [
            prose("""
            How varied the language is: *stems* are words without their endings, *distinct in 1,000
            words* is what a random thousand of the running words holds on average, so that data
            sets of any size compare. *Unknown words held out* is the share of the running words of
            the held-out split that the training split never uses."""),
            table(headers, [_vocabulary(each) for each in survey.datasets]),
            bullets([_on_phrases(each) for each in survey.datasets if each.main_text is not None]),
        ]
    )


def _overview(dataset: SurveyedDataset) -> tuple[str, ...]:
    analysis = dataset.analysis
    labels, quality = analysis.label_analysis, analysis.data_quality
    rows = analysis.basic_stats.total_samples
    if labels is None:
        label_cells: tuple[str, ...] = ("none", "–", "–")
    else:
        label_cells = (
            str(labels.num_unique_labels),
            *(
                f"{name} {percent(labels.label_proportions[name])}"
                for name in (labels.most_common_label, labels.least_common_label)
            ),
        )
    return (
        dataset.name,
        f"{rows:,}",
        *label_cells,
        percent(quality.duplicates.repeated_normalized_texts / rows),
        percent(1 - quality.score_terms["filled_cells"]),
        f"{quality.overall_quality_score:.1f}",
    )


def _findings(findings: Mapping[str, Sequence[Finding]]) -> str:
    """What was found, the gravest first, and the names of what was not; equal lists only once."""
    names: dict[str, list[str]] = {}
    for name, each in findings.items():
        names.setdefault(_list(each), []).append(f"*{name}*")
    return "\n\n".join(f"{join(equal)}:\n\n{found}" for found, equal in names.items())


def _list(findings: Sequence[Finding]) -> str:
    ordered = by_severity(findings)
    clear = [each.title[0].lower() + each.title[1:] for each in ordered if each.severity == CLEAR]
    found = list_findings(each for each in ordered if each.severity != CLEAR)
    return f"{found}\n\nLooked for, and as it should be: {join(clear)}." if clear else found


def _leaks(dataset: SurveyedDataset) -> bool | None:
    """Whether the label leaks; None if there is nothing to leak."""
    bias = dataset.analysis.bias
    return None if bias is None else bias.leak.found


def _on_lengths(dataset: SurveyedDataset) -> str:
    lengths, ease = _extremes(dataset.lengths, 0), _extremes(dataset.reading_ease, 1)
    return (
        f"*{dataset.name}*: by label, the median number of words is {lengths}, and the median "
        f"reading ease {ease}."
    )


def _extremes(distributions: dict[str, Distribution], decimals: int) -> str:
    by_median = sorted(distributions.items(), key=lambda each: each[1].median)
    (lowest, low), (highest, high) = by_median[0], by_median[-1]
    if low.median == high.median:
        return f"{low.median:.{decimals}f} throughout"
    return f"from {low.median:.{decimals}f} ({lowest}) to {high.median:.{decimals}f} ({highest})"


def _vocabulary(dataset: SurveyedDataset) -> tuple[str, ...]:
    texts = dataset.analysis.text_analysis.get(str(dataset.main_text))
    if texts is None:
        return (dataset.name, *["–"] * 6)
    words = texts.vocabulary
    unseen = [pair.unseen_word_share for pair in dataset.analysis.split_overlap]
    return (
        dataset.name,
        f"{words.words:,}",
        f"{words.distinct_words:,}",
        f"{words.distinct_stems:,}",
        "–" if words.once_share is None else percent(words.once_share),
        "–" if words.distinct_per_thousand is None else f"{words.distinct_per_thousand:.0f}",
        "–" if not unseen or unseen[0] is None else percent(unseen[0]),
    )


def _on_phrases(dataset: SurveyedDataset) -> str:
    patterns = dataset.analysis.text_analysis[str(dataset.main_text)].common_patterns
    phrases = list(patterns.common_phrases)[:MOST_WORDS]
    return f"*{dataset.name}*: words that stand together more than chance: {join(phrases)}."


def findings(result: object) -> list[str]:
    """To be written."""
    return []
