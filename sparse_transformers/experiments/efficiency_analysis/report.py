"""How attention scales, in words: every verdict follows from the numbers."""

from sparse_transformers.efficiency.scaling_law import PowerLaw
from sparse_transformers.experiments.efficiency_analysis.figures import arm_label, setting_label
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.experiments.efficiency_analysis.time_curves import Crossing, TimeCurve
from sparse_transformers.utils.plots.base import short_bytes
from sparse_transformers.utils.report import (
    NOT_MEASURED,
    bullets,
    compare_speed,
    number,
    percent,
    prose,
    table,
    times,
)

DIRECTION_WORDS = {"forward": "forward", "forward_backward": "forward + backward"}
EXPECTED_EXPONENTS = {"dense": 2, "local": 1, "block": 2}
VAGUE = 1.0
"""An interval wider than this cannot tell linear growth from quadratic."""
NOT_COUNTED = "not counted"


def describe_times(scaling: AttentionScaling) -> str:
    """How time grows, and from where on sparse attention is faster."""
    settings = scaling.settings
    lengths = (*settings.lengths, *settings.longer_lengths)
    rows = []
    for curve in scaling.times:
        medians = {point.seq_len: point.timing.median_ms for point in curve.points}
        rows.append(
            (
                _curve_label(scaling, curve),
                *(number(medians.get(length)) for length in lengths),
                _exponent(curve.fit),
            )
        )
    headers = ("milliseconds", *(f"{length:,}" for length in lengths), "exponent")
    verdicts = [
        *(_growth_verdict(scaling, curve) for curve in scaling.times if curve.fit is not None),
        *(_crossing_verdict(scaling, crossing) for crossing in scaling.crossings),
        _control_verdict(scaling),
    ]
    return "\n\n".join(
        [
            prose("""
            Dense attention compares every token with every other, so twice the text should take
            four times as long: the time grows with the length to the power 2, which is the slope
            between logarithms. A window of fixed size should take twice as long: power 1. Blocks
            that keep a fixed *share* of all pairs are fewer, but their number still grows with the
            square: power 2. The control is dense attention with the window laid over it as a mask,
            which skips nothing."""),
            table(headers, rows),
            prose(f"""
            Medians of {settings.repeats}, {settings.n_heads} heads of {settings.head_dim}, the arms
            taking turns. The exponent comes from a straight line through the logarithms from
            {settings.fit_from:,} positions on, with its 95% interval."""),
            bullets(verdicts),
            prose("""
            **Limits.** Few lengths, one machine, random numbers. Below the fitted range fixed costs
            rule, and the exponents do not hold there."""),
        ]
    )


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
                _exponent(curve.fit),
            )
        )
    headers = ("peak memory", *(f"{length:,}" for length in lengths), "exponent")
    return "\n\n".join(
        [
            prose("""
            The most memory that one forward and backward pass hold at a time, beyond their inputs.
            Every request to PyTorch's allocator is followed."""),
            table(headers, rows),
            bullets(_memory_verdicts(scaling)),
            prose("""
            **Limits.** At small lengths the kernel's buffers, which do not grow, flatten the slope.
            What a library below PyTorch takes for itself is not seen."""),
        ]
    )


def describe_memory_table(scaling: AttentionScaling) -> str:
    """What a formula says about memory, beside what was measured."""
    lengths = scaling.settings.counted_lengths
    rows = []
    for name, setting in _counted_settings(scaling):
        costs = {cost.seq_len: cost for cost in scaling.counted(name, setting)}
        rows.append(
            (
                setting_label(name, setting),
                *(
                    times(costs[n].memory_reduction_with_scores) if n in costs else NOT_COUNTED
                    for n in lengths
                ),
            )
        )
    longest = scaling.counted(*_counted_settings(scaling)[0])[-1]
    return "\n\n".join(
        [
            prose("""
            That sparse attention saves memory is said with kernels in mind that keep the scores of
            all pairs for the backward pass. The lower half of the figure counts what would be
            saved if only the allowed scores were kept, each with the number of its key; inputs,
            output and gradients are included (**model, not measured**):"""),
            table(("reduction", *(f"{length:,}" for length in lengths)), rows),
            prose(f"""
            This library keeps no scores: it computes them again in the backward pass, and so does
            PyTorch's dense SDPA. At {longest.seq_len:,} positions that alone takes
            {times(longest.memory_reduction_without_scores)} less memory, whatever the pattern
            (**model, not measured**). The upper half of the figure is the measurement."""),
        ]
    )


def describe_operations(scaling: AttentionScaling) -> str:
    """What is counted to run."""
    lengths = scaling.settings.counted_lengths
    rows = []
    for name, setting in _counted_settings(scaling):
        costs = {cost.seq_len: cost for cost in scaling.counted(name, setting)}
        rows.append(
            (
                setting_label(name, setting),
                *(times(costs[n].flop_reduction) if n in costs else NOT_COUNTED for n in lengths),
            )
        )
    return "\n\n".join(
        [
            prose(f"""
            The operations of the matrix products, forward and backward, over all
            {scaling.settings.n_heads} heads. A tile counts in full even if only a part of its pairs
            is allowed, because that is what runs. The table says how many times fewer operations
            run than for dense causal attention (**model, not measured**):"""),
            table(("reduction", *(f"{length:,}" for length in lengths)), rows),
            prose("""
            What a window saves grows with the length. A fixed share of blocks saves a fixed
            factor, as soon as the blocks are small beside the text."""),
            prose("""
            **Limits.** Operations are not time: the measured times above show what became of
            them."""),
        ]
    )


def _curve_label(scaling: AttentionScaling, item: TimeCurve | Crossing) -> str:
    return f"{arm_label(scaling, item.name)}, {DIRECTION_WORDS[item.direction]}"


def _exponent(fit: PowerLaw | None) -> str:
    return (
        "too few lengths"
        if fit is None
        else f"{fit.exponent:.2f} ({fit.low:.2f} to {fit.high:.2f})"
    )


def _growth_verdict(scaling: AttentionScaling, curve: TimeCurve) -> str:
    assert curve.fit is not None
    found = f"*{_curve_label(scaling, curve)}*: exponent {_exponent(curve.fit)}"
    expected = EXPECTED_EXPONENTS.get(curve.name, 2)
    if curve.fit.high - curve.fit.low > VAGUE:
        return f"{found}; the interval is too wide to tell how it grows."
    if curve.fit.low <= expected <= curve.fit.high:
        return f"{found}, as expected ({expected})."
    if curve.fit.high < expected:
        return f"{found}, less than in the limit ({expected}): slower-growing parts still count."
    return f"{found}, more than expected ({expected})."


def _crossing_verdict(scaling: AttentionScaling, crossing: Crossing) -> str:
    label = f"*{_curve_label(scaling, crossing)}*"
    if crossing.length is None:
        return (
            f"{label}: not faster than dense SDPA at {crossing.longest:,} positions, the longest "
            "compared."
        )
    if crossing.length <= crossing.shortest:
        return (
            f"{label}: faster than dense SDPA at all lengths compared, from "
            f"{crossing.shortest:,} positions on."
        )
    early = f"{crossing.early or crossing.length:,.0f}"
    if crossing.early == crossing.shortest:
        early += " or fewer"
    late = f"{crossing.late:,.0f}" if crossing.late else f"more than {crossing.longest:,}"
    return (
        f"{label}: faster than dense SDPA from about {crossing.length:,.0f} positions on; the "
        f"quartiles of the timings allow {early} to {late}."
    )


def _control_verdict(scaling: AttentionScaling) -> str:
    masked = scaling.time_curve("masked", "forward").points
    if not masked:
        return f"The control was {NOT_MEASURED}."
    ours = masked[-1]
    dense = scaling.time_curve("dense", "forward").at(ours.seq_len)
    interval = ours.speedup_interval_over(dense)
    verdict = compare_speed(ours.speedup_over(dense), interval, "dense causal SDPA")
    lesson = " A mask alone saves no time." if interval[0] <= 1 else ""
    return (
        f"The control, dense SDPA with the window as its mask, {verdict} "
        f"({ours.seq_len:,} positions, forward).{lesson}"
    )


def _memory_verdicts(scaling: AttentionScaling) -> list[str]:
    dense, local, stored = (scaling.memory_curve(name) for name in ("dense", "local", "stored"))
    ratio = local.peak_bytes[-1] / dense.peak_bytes[-1]
    saving = "more than dense SDPA" if ratio > 1 else "less than dense SDPA"
    verdicts = [
        f"At {local.lengths[-1]:,} positions the window holds {percent(abs(ratio - 1))} {saving}, "
        "which keeps no scores either. What counts is whether scores are kept, more than how many "
        "are allowed."
    ]
    if stored.lengths:
        seq_len = stored.lengths[-1]
        local_bytes = local.peak_bytes[local.lengths.index(seq_len)]
        verdicts.append(
            f"Dense attention that stores its scores holds "
            f"{times(stored.peak_bytes[-1] / local_bytes)} as much as the window at {seq_len:,} "
            "positions."
        )
    return verdicts


def _counted_settings(scaling: AttentionScaling) -> list[tuple[str, float]]:
    """Which patterns were counted, in order."""
    return list(dict.fromkeys((cost.name, cost.setting) for cost in scaling.costs))


def findings(result: object) -> list[str]:
    """To be written."""
    return []
