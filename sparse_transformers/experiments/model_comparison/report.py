"""The model comparison in words: every verdict follows from the numbers."""

from collections.abc import Sequence

from sparse_transformers.experiments.model_comparison.measure import ComparedModel, ModelComparison
from sparse_transformers.utils.plots.base import short_bytes
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.report import (
    bullets,
    compare_losses,
    join,
    number,
    percent,
    prose,
    table,
)

SAME_MEMORY = 1.02
"""Peaks within this factor are called the same."""
DISTURBED = 1.5
"""A larger factor between the speeds of one model is not the model's doing."""


def describe_comparison(comparison: ModelComparison) -> str:
    """What was trained, what came out, and what can be said about it."""
    settings = comparison.settings
    seeds = "one seed" if settings.n_seeds == 1 else f"each of {settings.n_seeds} seeds"
    rows_per_step = f"{settings.batch_size} row{'s' * (settings.batch_size > 1)} per step"
    rows = [_row(comparison, model) for model in comparison.models]
    headers = (
        "model",
        "pairs skipped (counted)",
        "parameters",
        "bits per byte",
        "bytes read",
        "bytes per second",
        "memory of a step",
    )
    marks = [
        (f"counting {baseline.name}", f"{baseline.bits_per_byte:.3f}")
        for baseline in comparison.baselines
    ]
    sparse = [model for model in comparison.models if model.name != "dense"]
    verdicts = [
        *(_loss_verdict(comparison, model) for model in sparse),
        *(_speed_verdict(comparison, model) for model in sparse),
        _memory_verdict(comparison),
        _baseline_verdict(comparison),
        _leak_verdict(comparison),
        *_disturbances(comparison),
    ]
    return "\n\n".join(
        [
            prose(f"""
            Models that differ in nothing but the pattern learn to predict the next byte of
            {comparison.text}: {comparison.train_bytes:,} bytes to train on, and the
            {comparison.valid_bytes:,} bytes after them held out. Each trains for
            {settings.seconds:g} seconds with {seeds}; validation does not count. They read
            {settings.seq_len:,} bytes at once, {rows_per_step}, through {settings.n_layers} layers
            of width {settings.d_model}. *Bits per byte* is what a held-out byte would cost if the
            model, as it is after its last step, compressed the text: lower is better, and 8 is a
            blind guess. It is measured on {comparison.predicted_bytes:,} bytes."""),
            table(headers, rows),
            prose("""
            The range over the seeds stands in brackets. Two marks to beat come from counting the
            training text, measured on the same held-out bytes:"""),
            table(("mark", "bits per byte"), marks),
            bullets(verdicts),
            prose(f"""
            **Limits.** Small models, {settings.seconds:g} seconds, one text. All of them would
            improve with more training, and their order may change. A model that looks only nearby
            does well where the text rarely needs more, which is a fact about the text."""),
        ]
    )


def _row(comparison: ModelComparison, model: ComparedModel) -> tuple[str, ...]:
    runs = comparison.runs_of(model.name)
    return (
        _label(model),
        percent(1 - model.density),
        f"{model.n_parameters:,}",
        _mean_and_range([run.final_bits for run in runs], "{:.3f}"),
        _mean_and_range([run.tokens for run in runs], "{:,.0f}"),
        _mean_and_range([run.tokens_per_second for run in runs], "{:,.0f}"),
        short_bytes(model.step_bytes),
    )


def _loss_verdict(comparison: ModelComparison, model: ComparedModel) -> str:
    differences = comparison.differences_from_dense(model.name)
    return (
        f"In the same time: the loss of the *{_label(model)}* model "
        f"{compare_losses(differences, 'that of the dense one')}."
    )


def _speed_verdict(comparison: ModelComparison, model: ComparedModel) -> str:
    pairs = zip(comparison.runs_of(model.name), comparison.runs_of("dense"), strict=True)
    ratios = [run.tokens_per_second / dense.tokens_per_second for run, dense in pairs]
    found = f"The *{_label(model)}* model reads {number(sum(ratios) / len(ratios))} times as many"
    spread = f" ({_range(ratios, '{:.2f}')} over the seeds)" if len(ratios) > 1 else ""
    certain = "" if min(ratios) > 1 or max(ratios) < 1 else ", which is no clear difference"
    return f"{found} bytes per second as the dense one{spread}{certain}."


def _memory_verdict(comparison: ModelComparison) -> str:
    peaks = {_label(model): model.step_bytes for model in comparison.models}
    least, most = min(peaks, key=peaks.__getitem__), max(peaks, key=peaks.__getitem__)
    if peaks[most] <= SAME_MEMORY * peaks[least]:
        return (
            "A training step takes the same memory with every pattern: no kernel here keeps its "
            "scores, and the rest of the model is the same."
        )
    return (
        f"A training step takes least memory with the *{least}* pattern "
        f"({short_bytes(peaks[least])}) and most with the *{most}* one "
        f"({short_bytes(peaks[most])})."
    )


def _baseline_verdict(comparison: ModelComparison) -> str:
    best = min(comparison.baselines, key=lambda baseline: baseline.bits_per_byte)
    beaten: list[str] = []
    missed: list[str] = []
    for model in comparison.models:
        worst_run = max(run.final_bits for run in comparison.runs_of(model.name))
        (beaten if worst_run < best.bits_per_byte else missed).append(_label(model))
    verdict = f"Better than counting {best.name} in every run: {join(beaten)}."
    if missed:
        verdict += (
            f" Not better: {join(missed)}, which learnt less in this time than a table holds."
        )
    return verdict


def _leak_verdict(comparison: ModelComparison) -> str:
    leaking = sorted({style_of(run.name).label for run in comparison.runs if run.leaks})
    if leaking:
        return (
            f"**Predictions depend on later bytes in: {join(leaking)}.** "
            "Their bits per byte mean nothing."
        )
    return (
        "The leak probe changed later bytes, and no earlier prediction of any trained model moved: "
        "none of them reads ahead."
    )


def _disturbances(comparison: ModelComparison) -> list[str]:
    """The same model on the same machine should read at the same speed with every seed."""
    warnings = []
    for model in comparison.models:
        speeds = [run.tokens_per_second for run in comparison.runs_of(model.name)]
        if max(speeds) > DISTURBED * min(speeds):
            warnings.append(
                f"**Take care:** the speeds of the *{_label(model)}* model differ by a factor of "
                f"{number(max(speeds) / min(speeds), 2)} between seeds. Something else kept the "
                "machine busy, and what was learnt in the same time cannot be compared."
            )
    return warnings


def _label(model: ComparedModel) -> str:
    return style_of(model.name).label


def _mean_and_range(values: Sequence[float], form: str) -> str:
    mean = form.format(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({_range(values, form)})"


def _range(values: Sequence[float], form: str) -> str:
    return f"{form.format(min(values))} to {form.format(max(values))}"


def findings(result: object) -> list[str]:
    """To be written."""
    return []
