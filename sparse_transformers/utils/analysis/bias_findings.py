"""What gives labels away, in sentences whose verdicts follow from the numbers."""

from sparse_transformers.utils.analysis.dataset_bias import FALSE_ALARMS
from sparse_transformers.utils.analysis.dataset_records import (
    CLEAR,
    MINOR,
    MODERATE,
    SERIOUS,
    BiasAnalysis,
    Finding,
)
from sparse_transformers.utils.analysis.label_leak import FAR, NamedCounts
from sparse_transformers.utils.analysis.label_probes import (
    FORM,
    METADATA,
    NUMBERS,
    LabelProbes,
    Probe,
)
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.report import join, percent

STRONG_SHORTCUT = 0.2
"""A shortcut that certainly beats guessing by more than this is a serious flaw."""


def judge_bias(bias: BiasAnalysis) -> list[Finding]:
    """The outcomes of the checks for leaks, shortcuts and associations."""
    findings = [_on_telling_columns(bias)]
    if bias.probes is None:
        findings.append(
            Finding(
                MINOR,
                "Too few rows for shortcuts",
                "No model was fitted to parts of the table: there are too few rows or groups.",
            )
        )
    else:
        findings.append(_on_numbers(bias, bias.probes))
        metadata, form = bias.probes.find(METADATA), bias.probes.find(FORM)
        if metadata is not None:
            seen = join([f"`{name}`" for name in metadata.columns])
            findings.append(_on_shortcut("metadata", seen, metadata, bias.probes))
        if form is not None:
            seen = "the numbers of words, digits and negations"
            findings.append(_on_shortcut("form of the text", seen, form, bias.probes))
    if bias.associations:
        findings.append(_on_associations(bias))
    return findings


def _on_telling_columns(bias: BiasAnalysis) -> Finding:
    columns = bias.leak.telling_columns
    if not columns:
        return Finding(
            CLEAR, "No telling column", "From no single column does the label follow by itself."
        )
    explained = {each.column: each.explained for each in bias.associations}
    told = join([f"`{name}` ({percent(explained[name])})" for name in columns])
    return Finding(
        SERIOUS,
        "A single column gives the label away",
        f"Of what there is to know about the label, beyond chance, this much is told by {told}. "
        "Leave such columns out of what a model sees.",
    )


def _on_numbers(bias: BiasAnalysis, probes: LabelProbes) -> Finding:
    leak = bias.leak
    numbers, advantage = probes.find(NUMBERS), probes.advantage
    if numbers is None or advantage is None:
        return Finding(
            CLEAR,
            "No leak through numbers",
            "There are no number columns that could give the label away.",
        )
    own_row = leak.named_counts is not None and leak.named_counts.include_own_row
    names = join([f"`{name}`" for name in numbers.columns])
    rival = probes.find(str(probes.rival))
    beside = f"with the {probes.rival}" if rival is not None else f"for {probes.rival}"
    rival_accuracy = probes.majority if rival is None else rival.accuracy.estimate
    sentences = [
        f"From {names} alone a logistic regression is right in "
        f"{_percent(numbers.accuracy.estimate)} of the rows{_unseen(probes)}, against "
        f"{_percent(rival_accuracy)} {beside}: a difference of {_points(advantage)}."
    ]
    if leak.named_counts is not None:
        sentences += _on_named_counts(leak.named_counts)
    if leak.numbers_win or own_row:
        sentences.append("Leave these columns out, or rebuild them from earlier rows only.")
        return Finding(SERIOUS, "Label leak through numbers", " ".join(sentences))
    sentences.append(
        f"Only an advantage that is certainly above {100 * FAR:.0f} points counts as a leak."
    )
    return Finding(CLEAR, "No leak through numbers", " ".join(sentences))


def _on_named_counts(counts: NamedCounts) -> list[str]:
    sentences = [
        f"No model is needed: in the {counts.rows:,} rows where one count is the largest, it names "
        f"the row's label in {_percent(counts.hit_share)} (by chance: "
        f"{_percent(counts.chance_share)})."
    ]
    if counts.single_hit_share is not None and counts.single_chance_share is not None:
        verdict = (
            "so the counts include the very row that they stand in"
            if counts.include_own_row
            else "so the counts do not seem to include the row that they stand in"
        )
        sentences.append(
            f"Where the counts add up to 1, in {counts.single_rows:,} rows, that one is the row's "
            f"own label in {_percent(counts.single_hit_share)} (by chance: "
            f"{_percent(counts.single_chance_share)}), {verdict}."
        )
    return sentences


def _on_shortcut(part: str, seen: str, probe: Probe, probes: LabelProbes) -> Finding:
    measured = (
        f"A naive Bayes classifier that sees only {seen} is right in "
        f"{_percent(probe.accuracy.estimate)} of the rows{_unseen(probes)}. Always guessing the "
        f"most common label is right in {_percent(probes.majority)}; the difference is "
        f"{_points(probe.lift)}. After shuffling the labels the same classifier reaches "
        f"{_percent(probe.shuffled_mean)} on average and {_percent(probe.shuffled_high)} at most."
    )
    if not probe.beats_guessing:
        return Finding(CLEAR, f"No shortcut through the {part}", measured)
    return Finding(
        SERIOUS if probe.lift.low > STRONG_SHORTCUT else MODERATE,
        f"A shortcut through the {part}",
        f"{measured} A score must beat this one before it says anything about understanding.",
    )


def _on_associations(bias: BiasAnalysis) -> Finding:
    found = [each for each in bias.associations if each.is_significant]
    tested = (
        f"{len(bias.associations)} columns and properties of texts were compared with shuffled "
        "labels; where nothing goes with the label, the chance of any alarm is at most "
        f"{percent(FALSE_ALARMS)}."
    )
    if not found:
        return Finding(CLEAR, "No column goes with the label", tested)
    strongest = join([f"`{each.column}` {percent(max(0.0, each.explained))}" for each in found[:3]])
    return Finding(
        MINOR,
        "Columns that go with the label",
        f"{len(found)} of them go with the label more than chance explains, rows of one group "
        f"counted as if they were independent. Of what there is to know about the label, beyond "
        f"chance, the strongest tell: {strongest}. {tested}",
    )


def _unseen(probes: LabelProbes) -> str:
    return "" if probes.grouped_by is None else f" of a `{probes.grouped_by}` never seen before"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _points(difference: Interval) -> str:
    return (
        f"{100 * difference.estimate:+.1f} points ({difference.confidence:.0%} interval "
        f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f})"
    )
