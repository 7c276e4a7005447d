"""How attention scales, in words: every verdict follows from the numbers."""

import math
from itertools import product

from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.experiments.efficiency_analysis.counted_costs import cost_frame
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.report import (
    NOT_MEASURED,
    bullets,
    join,
    number,
    percent,
    plural,
    prose,
    table,
    times,
)
from sparse_transformers.utils.verdicts import compare, list_by_verdict, spell

DIRECTION_WORDS = {"forward": "forward", "forward_backward": "forward + backward"}
EXPECTED_EXPONENTS = {"dense": 2, "masked": 2, "local": 1, "block": 2}
VAGUE = 1.0
"""An interval wider than this cannot tell linear growth from quadratic."""


def findings(scaling: AttentionScaling) -> list[str]:
    """From which length on the window is faster, the control, and what is held in memory."""
    return [
        f"{_crossings(scaling, 'local')} At {_longest(scaling, 'local')} {_control(scaling)}",
        _memory(scaling),
    ]


def describe_times(scaling: AttentionScaling) -> str:
    """How time grows, and from where on sparse attention is faster."""
    return "\n\n".join(
        [
            prose("""
            Twice the text should take dense attention four times as long: the time grows with the
            length to the power 2. A window of fixed size should take twice as long: power 1. Blocks
            that keep a fixed *share* of the pairs are fewer, but their number grows with the square
            too. The control, dense attention with the window as its mask, skips nothing."""),
            _times_table(scaling),
            bullets([_growth(scaling), _crossings(scaling, "block")]),
            prose(f"""
            **Limits.** Few lengths, one machine, random numbers. Below the fitted range, which
            begins at {scaling.settings.fit_from:,} positions, fixed costs rule."""),
        ]
    )


def describe_memory_growth(scaling: AttentionScaling) -> str:
    """How measured memory grows."""
    return prose("""
        The most memory that one forward and backward pass hold at a time, beyond their inputs:
        every request to PyTorch's allocator is followed. **Limits.** At small lengths the kernel's
        buffers, which do not grow, flatten the slope. What a library below PyTorch takes for itself
        is not seen.""")


def describe_memory_table(scaling: AttentionScaling) -> str:
    """What a formula says about memory, beside what was measured."""
    savings = cost_frame(scaling.costs).saving_no_scores
    seq_len = max(scaling.settings.counted_lengths)
    saving = savings.xs(seq_len, level="seq_len").iloc[0]
    return prose(f"""
        That sparse attention saves memory is said of kernels that keep scores for the backward
        pass. The lower half counts what keeping only the allowed scores would save, each with the
        number of its key; inputs, output and gradients are included (**model, not measured**). This
        library and PyTorch's dense SDPA keep none: at {seq_len:,} positions that alone takes
        {times(saving)} less memory, whatever the pattern (**model, not measured**).""")


def describe_operations(scaling: AttentionScaling) -> str:
    """What is counted to run."""
    return prose(f"""
        The operations of the matrix products, forward and backward, over all
        {scaling.settings.n_heads} heads (**model, not measured**). A tile counts in full even if
        only a part of its pairs is allowed, because that is what runs. What a window saves grows
        with the length; a fixed share of blocks saves a fixed factor. **Limits.** Operations are
        not time: the measured times show what became of them.""")


def summarise(scaling: AttentionScaling) -> str:
    """The times by length, and from where on sparse attention is faster."""
    crossings = [_crossings(scaling, attention) for attention in ("local", "block")]
    return f"{_times_table(scaling)}\n\n{bullets(crossings)}"


def _times_table(scaling: AttentionScaling) -> str:
    rows = []
    times_ms = scaling.time_frame().median_ms.unstack("seq_len")
    for direction, attention in product(DIRECTIONS, scaling.timed()):
        medians = times_ms.loc[attention, direction]
        cells = [number(None if math.isnan(ms) else ms) for ms in medians]
        exponent = _exponent(scaling.time_exponent(attention, direction))
        rows.append((_label(scaling, attention, direction), *cells, exponent))
    settings = scaling.settings
    return "\n\n".join(
        [
            prose(f"""
            Milliseconds by length, medians of {settings.repeats} with the attentions taking turns,
            {plural(settings.n_heads, "head")} of {settings.head_dim}:"""),
            table(("ms", *(f"{length:,}" for length in times_ms), "exponent"), rows),
        ]
    )


def _growth(scaling: AttentionScaling) -> str:
    """Which exponents differ from what the pairs alone would give."""
    differences, vague = {}, []
    for direction, attention in product(DIRECTIONS, scaling.timed()):
        exponent = scaling.time_exponent(attention, direction)
        label, expected = _label(scaling, attention, direction), EXPECTED_EXPONENTS[attention]
        if exponent and exponent.high - exponent.low > VAGUE:
            vague.append(f"{label}, {_exponent(exponent)}")
        elif exponent:
            limits = (exponent.estimate, exponent.low, exponent.high)
            differences[label] = Interval(*(each - expected for each in limits))
    found = list_by_verdict(differences, 0, "the expected exponent")
    return f"{found} Too wide an interval to tell: {join(vague)}." if vague else found


def _crossings(scaling: AttentionScaling, attention: str) -> str:
    found = [
        f"{_crossing(scaling, attention, direction)} ({DIRECTION_WORDS[direction]})"
        for direction in DIRECTIONS
    ]
    return f"Compared with dense SDPA, {scaling.label(attention)} is {join(found)}."


def _crossing(scaling: AttentionScaling, attention: str, direction: Direction) -> str:
    crossing, lengths = scaling.crossing(attention, direction), scaling.settings.lengths
    if math.isinf(crossing.estimate):
        return f"not faster at {lengths[-1]:,} positions, the longest compared"
    if crossing.estimate <= lengths[0]:
        return f"faster at all lengths compared, from {lengths[0]:,} positions on"
    low = f"{crossing.low:,.0f}" + " or fewer" * (crossing.low <= lengths[0])
    high = f"more than {lengths[-1]:,}" if math.isinf(crossing.high) else f"{crossing.high:,.0f}"
    return f"faster from {crossing.estimate:,.0f} [{low}, {high}] positions on"


def _control(scaling: AttentionScaling) -> str:
    if "masked" not in scaling.timed():
        return f"The control was {NOT_MEASURED}."
    return f"The control at {_longest(scaling, 'masked')}"


def _longest(scaling: AttentionScaling, attention: str) -> str:
    speedups = scaling.speedups(attention, "forward")
    speedup, words = Interval(*speedups.iloc[-1]), {"above": "faster than", "below": "slower than"}
    found = compare(
        scaling.label(attention), "dense SDPA", speedup, bound=1, form="{:.2f}×", **words
    )
    return f"{speedups.index[-1]:,} positions, forward: {found}"


def _memory(scaling: AttentionScaling) -> str:
    peaks = scaling.peak_bytes()
    longest = peaks.columns[-1]
    ratio = peaks.loc["local", longest] / peaks.loc["dense", longest]
    saving = "more" if ratio > 1 else "less"
    found = (
        f"Forward and backward, the window holds {percent(abs(ratio - 1))} {saving} memory than "
        f"dense SDPA at {longest:,} positions; neither keeps scores."
    )
    if "stored" not in peaks.index:
        return found
    both = peaks.loc[["stored", "local"]].dropna(axis=1)
    stored = both.loc["stored"].iloc[-1] / both.loc["local"].iloc[-1]
    return (
        f"{found} Dense attention that stores its scores holds {times(stored)} as much as the "
        f"window at {both.columns[-1]:,} positions."
    )


def _label(scaling: AttentionScaling, attention: str, direction: str) -> str:
    return f"{scaling.label(attention)} ({DIRECTION_WORDS[direction]})"


def _exponent(exponent: Interval | None) -> str:
    return "too few lengths" if exponent is None else spell(exponent, "{:.2f}")
