"""The model comparison in words: every verdict follows from the numbers."""

import pandas as pd

from sparse_transformers.experiments.model_comparison.measure import DENSE, ModelComparison
from sparse_transformers.experiments.section import Highlight
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import short_bytes
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.report import NO_VALUE, bullets, join, percent, plural, prose, table
from sparse_transformers.utils.verdicts import (
    caution_about_seeds,
    compare,
    list_by_verdict,
    over_seeds,
    spell,
)

DISTURBED = 1.5
"""A larger factor between the speeds of one model is not the model's doing."""


def findings(comparison: ModelComparison) -> list[str]:
    """Which model has learned more in the same time."""
    settings = comparison.settings
    gaps = [
        compare(
            f"the loss of the *{label}* model",
            "that of the dense one",
            gap,
            above="higher than",
            below="lower than",
            unit="bits per byte",
        )
        for label, gap in comparison.gaps().items()
    ]
    when = f"After {settings.seconds:g} s of training ({plural(settings.n_seeds, 'seed')})"
    return [f"{when}: {found[0].lower()}{found[1:]}" for found in gaps]


def describe_comparison(comparison: ModelComparison) -> str:
    """What was trained, what came out, and what can be said about it."""
    settings = comparison.settings
    runs = comparison.by_seed("bytes_per_second")
    ratios = {
        label: over_seeds((runs[label] / runs[DENSE]).tolist()) for label in comparison.gaps()
    }
    told = [f"{label} {spell(ratio, '{:.2f}')}" for label, ratio in ratios.items()]
    bits = comparison.by_seed("bits")
    best = min(comparison.baselines, key=lambda mark: mark.bits_per_byte)
    beside = {
        label: Interval(*of_model.agg(["mean", "min", "max"])) for label, of_model in bits.items()
    }
    return "\n\n".join(
        [
            prose(f"""
            Models that differ in nothing but the pattern learn to predict the next byte of
            {comparison.text} ({comparison.train_bytes:,} bytes; {comparison.valid_bytes:,} more are
            held out, of which {comparison.predicted_bytes:,} are predicted): {settings.n_layers}
            layers of width {settings.d_model}, {settings.seq_len:,} bytes at once. *Bits per byte*
            after the last step: lower is better, 8 is a blind guess. Means, with the range over the
            seeds, beside marks from counting the training text:"""),
            _table(comparison),
            bullets(
                [
                    *caution_about_seeds(settings.n_seeds),
                    f"Bytes per second, times those of the dense model: {join(told)}. "
                    f"{list_by_verdict(ratios, 1, 'the dense speed')}",
                    f"Range of the loss beside counting {best.name}: "
                    f"{list_by_verdict(beside, best.bits_per_byte, 'it')}",
                    _leaks(comparison),
                    *_disturbances(runs),
                ]
            ),
            prose(f"""
            **Limits.** Small models, {settings.seconds:g} seconds, one text: with more training
            their order may change."""),
        ]
    )


def summarise(comparison: ModelComparison) -> str:
    """The table."""
    return _table(comparison)


def highlight(comparison: ModelComparison) -> Highlight:
    """The window beside dense attention."""
    label = style_of("local").label
    bits = comparison.by_seed("bits").mean()
    return Highlight(
        question=f"bits per byte after {comparison.settings.seconds:g} s of training",
        found=f"{label}: {bits[label]:.3f}",
        beside=f"dense: {bits[DENSE]:.3f}; difference {spell(comparison.gaps()[label], '{:+.3f}')}",
    )


def _table(comparison: ModelComparison) -> str:
    forms = {"bits": "{:.3f}", "bytes_read": "{:,.0f}", "bytes_per_second": "{:,.0f}"}
    rows = [
        (
            label := style_of(model.name).label,
            percent(1 - model.density),
            *(
                _mean_and_range(comparison.by_seed(name)[label], form)
                for name, form in forms.items()
            ),
            short_bytes(model.step_bytes),
        )
        for model in comparison.models
    ]
    rows += [
        (f"counting {mark.name}", NO_VALUE, f"{mark.bits_per_byte:.3f}", *[NO_VALUE] * 3)
        for mark in comparison.baselines
    ]
    headers = ("model", "pairs skipped", "bits per byte", "bytes read", "bytes/s", "step memory")
    return table(headers, rows)


def _leaks(comparison: ModelComparison) -> str:
    leaking = sorted({style_of(run.name).label for run in comparison.runs if run.leaks})
    if leaking:
        return (
            f"**Predictions depend on later bytes in: {join(leaking)}.** Their bits per byte mean "
            "nothing."
        )
    return "The leak probe found no prediction of a trained model that depends on a later byte."


def _disturbances(speeds: pd.DataFrame) -> list[str]:
    """The same model on the same machine should read at the same speed with every seed."""
    factors = speeds.max() / speeds.min()
    return [
        f"**Take care:** the speeds of the *{label}* model differ by a factor of {factor:.1f} "
        "between seeds: other work kept the machine busy, and what was learned in the same time "
        "cannot be compared."
        for label, factor in factors[factors > DISTURBED].items()
    ]


def _mean_and_range(values: pd.Series, form: str) -> str:
    if len(values) == 1:
        return form.format(values.mean())
    mean, low, high = (form.format(value) for value in values.agg(["mean", "min", "max"]))
    return f"{mean} ({low} to {high})"
