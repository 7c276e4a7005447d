"""How attention scales, in words: every verdict follows from the numbers."""

from sparse_transformers.efficiency.attention_arms import Direction
from sparse_transformers.experiments.attention_scaling import (
    AttentionScaling,
    Crossing,
    TimeCurve,
)
from sparse_transformers.experiments.attention_scaling_figures import arm_label, setting_label
from sparse_transformers.experiments.scaling_law import PowerLaw
from sparse_transformers.utils.plotting import short_bytes
from sparse_transformers.utils.report import NOT_MEASURED, compare_speed, number, table, times

DIRECTION_WORDS: dict[Direction, str] = {
    "forward": "forward",
    "forward_backward": "forward + backward",
}


def describe_times(scaling: AttentionScaling) -> str:
    """How time grows, and from where on sparse attention is faster."""
    settings = scaling.settings
    lengths = (*settings.lengths, *settings.longer_lengths)
    rows = []
    for curve in scaling.times:
        medians = {point.seq_len: point.timing.median_ms for point in curve.points}
        rows.append(
            (
                f"{arm_label(scaling, curve.name)}, {DIRECTION_WORDS[curve.direction]}",
                *(number(medians.get(length)) for length in lengths),
                _growth(curve.fit),
            )
        )
    headers = ("milliseconds at", *(f"{length:,}" for length in lengths), "grows with length to")
    return f"""\
Dense attention compares every token with every other, so twice the text should take four times as
long: a slope of 2 between logarithms. A window of fixed size should take twice as long: a slope of
1. Blocks that keep a fixed *share* of all pairs have fewer of them, but the number still grows with
the square. A mask laid over dense attention skips nothing and is here as the control.

{table(headers, rows)}

Medians of {settings.repeats}, {settings.n_heads} heads of {settings.head_dim}. The exponent is a
straight line through the logarithms from {settings.fit_from:,} positions on, with its 95% interval.

{_growth_verdicts(scaling)}
{_crossing_verdicts(scaling)}
{_mask_verdict(scaling)}

**Limits.** Few lengths, one machine, random numbers. Below the fitted range fixed costs rule, so
the exponents do not hold there."""


def describe_memory_growth(scaling: AttentionScaling) -> str:
    """How measured memory grows."""
    lengths = scaling.settings.memory_lengths
    rows = []
    for curve in scaling.memory:
        peaks = dict(zip(curve.lengths, curve.peak_bytes, strict=True))
        rows.append(
            (
                arm_label(scaling, curve.name),
                *(short_bytes(peaks[n]) if n in peaks else NOT_MEASURED for n in lengths),
                _growth(curve.fit),
            )
        )
    headers = ("peak at", *(f"{length:,}" for length in lengths), "grows with length to")
    return f"""\
The most memory that a forward and a backward pass hold at a time, beyond their inputs: every
request to PyTorch's allocator is followed.

{table(headers, rows)}

{_memory_verdict(scaling)}

**Limits.** Small lengths show the kernel's fixed buffers, which flattens the slope. What a library
below PyTorch takes for itself is not seen."""


def describe_memory_table(scaling: AttentionScaling) -> str:
    """What a formula says about memory, beside what was measured."""
    settings = scaling.settings
    rows = []
    for name, setting in _settings(scaling):
        costs = {cost.seq_len: cost for cost in scaling.counted(name, setting)}
        rows.append(
            (
                setting_label(name, setting),
                *(
                    times(costs[n].memory_reduction_with_scores) if n in costs else "not counted"
                    for n in settings.counted_lengths
                ),
            )
        )
    headers = ("allowed scores kept", *(f"{length:,}" for length in settings.counted_lengths))
    any_costs = scaling.counted(*_settings(scaling)[0])
    without = "; ".join(
        f"{times(cost.memory_reduction_without_scores)} at {cost.seq_len:,}" for cost in any_costs
    )
    return f"""\
"Sparse attention saves memory" is said of kernels that keep the scores of all pairs for the
backward pass. The lower half of the figure counts what would be saved if only the allowed scores
were kept, each with the number of its key (inputs, output and gradients included; **model, not
measured**):

{table(headers, rows)}

This library keeps no scores: it computes them again in the backward pass, and so does PyTorch's
dense SDPA. That saves more than any sparsity (**model, not measured**): {without}. The upper half of
the figure is the measurement."""


def describe_operations(scaling: AttentionScaling) -> str:
    """What is counted to run."""
    lengths = scaling.settings.counted_lengths
    rows = []
    for name, setting in _settings(scaling):
        costs = {cost.seq_len: cost for cost in scaling.counted(name, setting)}
        rows.append(
            (
                setting_label(name, setting),
                *(times(costs[n].flop_reduction) if n in costs else "not counted" for n in lengths),
            )
        )
    return f"""\
Operations of the matrix products, forward and backward, over all {scaling.settings.n_heads} heads.
Tiles are counted in full, also where only a part of their pairs is allowed, because that is what
runs. The table says how many times fewer they are than for dense causal attention (**model, not
measured**):

{table(("counted", *(f"{length:,}" for length in lengths)), rows)}

A window's advantage grows with the length; that of a fixed share of blocks levels off.

**Limits.** Operations are not time: the figures above show what became of them."""


def _growth(fit: PowerLaw | None) -> str:
    if fit is None:
        return NOT_MEASURED
    return f"{fit.exponent:.2f} ({fit.low:.2f} to {fit.high:.2f})"


def _growth_verdicts(scaling: AttentionScaling) -> str:
    lines = []
    expected = {"dense": 2, "local": 1, "block": 2}
    for curve in scaling.times:
        if curve.fit is None or curve.name not in expected:
            continue
        exponent = expected[curve.name]
        agrees = curve.fit.low <= exponent <= curve.fit.high
        lines.append(
            f"- {arm_label(scaling, curve.name)}, {DIRECTION_WORDS[curve.direction]}: the exponent "
            f"{_growth(curve.fit)} {'agrees' if agrees else 'does not agree'} with the expected "
            f"{exponent}{'' if agrees else _deviation(curve, exponent)}."
        )
    return "\n".join(lines)


def _deviation(curve: TimeCurve, exponent: int) -> str:
    assert curve.fit is not None
    if curve.fit.high < exponent:
        return "; it grows more slowly, as long as fixed costs count beside it"
    return "; it grows faster, as when the caches overflow"


def _crossing_verdicts(scaling: AttentionScaling) -> str:
    return "\n".join(
        f"- {arm_label(scaling, crossing.name)}, {DIRECTION_WORDS[crossing.direction]}: "
        f"{_crossing_words(crossing)}."
        for crossing in scaling.crossings
    )


def _crossing_words(crossing: Crossing) -> str:
    if crossing.length is None:
        return f"not faster than dense SDPA at {crossing.longest:,}, the longest length compared"
    if crossing.length <= crossing.shortest:
        return f"faster than dense SDPA at every length compared, from {crossing.shortest:,} on"
    late = f"{crossing.late:,.0f}" if crossing.late is not None else f"beyond {crossing.longest:,}"
    early = crossing.early if crossing.early is not None else crossing.length
    return (
        f"faster than dense SDPA from about {crossing.length:,.0f} positions on "
        f"(quartiles: {early:,.0f} to {late})"
    )


def _mask_verdict(scaling: AttentionScaling) -> str:
    masked = scaling.time_curve("masked", "forward").points
    if not masked:
        return f"- The masked control was {NOT_MEASURED}."
    dense = {p.seq_len: p.timing for p in scaling.time_curve("dense", "forward").points}
    last = masked[-1]
    ours, theirs = last.timing, dense[last.seq_len]
    verdict = compare_speed(
        theirs.median_ms / ours.median_ms,
        (
            theirs.lower_quartile_ms / ours.upper_quartile_ms,
            theirs.upper_quartile_ms / ours.lower_quartile_ms,
        ),
        "dense SDPA without one",
    )
    return (
        f"- The control: with the window as a mask, dense SDPA {verdict} "
        f"(forward, {last.seq_len:,} positions). Sparsity in the mask alone saves nothing."
        if theirs.median_ms <= ours.median_ms
        else f"- The control: with the window as a mask, dense SDPA {verdict} "
        f"(forward, {last.seq_len:,} positions), so this kernel makes use of the mask."
    )


def _memory_verdict(scaling: AttentionScaling) -> str:
    dense, local, stored = (scaling.memory_curve(name) for name in ("dense", "local", "stored"))
    longest = local.lengths[-1]
    ours, theirs = local.peak_bytes[-1], dense.peak_bytes[-1]
    lines = [
        f"- At {longest:,} positions the local window holds {times(ours / theirs)} the memory of "
        f"dense SDPA: {'less' if ours < theirs else 'not less'}, because dense SDPA keeps no scores "
        "either. Sparsity saves time here, and memory only against attention that keeps its scores."
    ]
    if stored.lengths:
        at = stored.lengths[-1]
        same = dict(zip(local.lengths, local.peak_bytes, strict=True)).get(at)
        if same is not None:
            lines.append(
                f"- Against attention that keeps all scores, the local window needs "
                f"{times(stored.peak_bytes[-1] / same)} less at {at:,} positions (measured)."
            )
    return "\n".join(lines)


def _settings(scaling: AttentionScaling) -> list[tuple[str, float]]:
    """Which patterns were counted, in order."""
    return list(dict.fromkeys((cost.name, cost.setting) for cost in scaling.costs))
