"""How attention scales, in words: every verdict follows from the numbers."""

import math
from itertools import product

from sparse_transformers.efficiency.comparison import DIRECTIONS, Direction
from sparse_transformers.experiments.efficiency_analysis.counted_costs import cost_frame
from sparse_transformers.experiments.efficiency_analysis.measure import AttentionScaling
from sparse_transformers.utils.metrics.significance import Interval
from sparse_transformers.utils.plots.base import short_bytes
from sparse_transformers.utils.report import (
    NO_VALUE,
    NOT_MEASURED,
    number,
    percent,
    plural,
    prose,
    table,
)
from sparse_transformers.utils.verdicts import NOT_SHOWN, compare, spell, verdict

DIRECTION_WORDS = {"forward": "forward", "forward_backward": "forward + backward"}
EXPECTED_EXPONENTS = {"dense": 2, "masked": 2, "local": 1, "block": 2}


def findings(scaling: AttentionScaling) -> list[str]:
    """How much faster the window is and from which length on, the control, and the memory."""
    control = f"was {NOT_MEASURED}."
    if "masked" in scaling.timed():
        control = f"at {_at_longest(scaling, 'masked')}"
    peaks = scaling.peak_bytes().iloc[:, -1]
    ratio = peaks["local"] / peaks["dense"]
    return [
        f"Forward at {_at_longest(scaling, 'local')} The crossing: "
        f"{_crossing(scaling, 'local', 'forward')} positions. The control {control}",
        f"Forward and backward, the window holds {percent(abs(ratio - 1))} "
        f"{'more' if ratio > 1 else 'less'} memory than dense SDPA at {peaks.name:,} positions; "
        "neither keeps scores.",
    ]


def describe_times(scaling: AttentionScaling) -> str:
    """How time grows, and from where on sparse attention is faster."""
    return "\n\n".join(
        [
            prose("""
            The number of pairs grows with the length to the power 2 in dense attention, to the
            power 1 in a window of fixed size, and to the power 2 again in blocks that keep a fixed
            *share*. The control, dense attention with the window as its mask, skips nothing."""),
            _growth(scaling),
            prose(f"""
            **Limits.** Few lengths, one machine, random numbers; exponents are fitted from
            {scaling.settings.fit_from:,} positions on."""),
        ]
    )


def describe_memory_growth(scaling: AttentionScaling) -> str:
    """The measured memory."""
    peaks = scaling.peak_bytes()
    cells = peaks.map(short_bytes, na_action="ignore").fillna(NOT_MEASURED)
    rows = [
        [scaling.label(str(name)), *row]
        for name, row in zip(peaks.index, cells.to_numpy(), strict=True)
    ]
    introduction = prose("""
        The most memory that a forward and a backward pass hold at a time, beyond their inputs, by
        every request to PyTorch's allocator. The kernel's buffers do not grow and flatten the slope
        at small lengths.""")
    return f"{introduction}\n\n{table(('', *(f'{length:,}' for length in peaks)), rows)}"


def describe_memory_table(scaling: AttentionScaling) -> str:
    """What a formula says about memory."""
    savings = cost_frame(scaling.costs).saving_no_scores
    seq_len = max(scaling.settings.counted_lengths)
    saving = savings.xs(seq_len, level="seq_len").iloc[0]
    return prose(f"""
        Kernels that keep scores for the backward pass could keep the allowed ones only, each with
        the number of its key. This library and PyTorch's dense SDPA keep none: at {seq_len:,}
        positions that alone takes {number(saving)}× less memory, whatever the pattern (**model, not
        measured**).""")


def describe_operations(scaling: AttentionScaling) -> str:
    """What is counted to run."""
    return prose("""
        Operations of the matrix products, *counted* from the rule; those of dense attention stand
        below the lengths. A tile counts in full even if only a part of its pairs is allowed,
        because that is what runs.""")


def summarise(scaling: AttentionScaling) -> str:
    """The times by length, how they grow, and from where on sparse attention is faster."""
    settings, medians = scaling.settings, scaling.time_frame().median_ms.unstack("seq_len")
    rows = [
        (
            f"{scaling.label(attention)} ({DIRECTION_WORDS[direction]})",
            *(
                NOT_MEASURED if math.isnan(ms) else number(ms)
                for ms in medians.loc[attention, direction]
            ),
        )
        for direction, attention in product(DIRECTIONS, scaling.timed())
    ]
    return "\n\n".join(
        [
            prose(f"""
            Milliseconds by length, medians of {settings.repeats} with the attentions taking turns,
            {plural(settings.n_heads, "head")} of {settings.head_dim}:"""),
            table(("ms", *(f"{length:,}" for length in medians)), rows),
            _growth(scaling),
        ]
    )


def _growth(scaling: AttentionScaling) -> str:
    """Exponents beside what the pairs alone would give, and crossings with dense attention."""
    rows = [
        (
            scaling.label(attention),
            str(expected),
            *(_exponent(scaling.time_exponent(attention, each), expected) for each in DIRECTIONS),
            *(_crossing(scaling, attention, each) for each in DIRECTIONS),
        )
        for attention, expected in EXPECTED_EXPONENTS.items()
        if attention in scaling.timed()
    ]
    words = DIRECTION_WORDS.values()
    crossings = (f"faster than dense from, {each}" for each in words)
    introduction = "Exponents of the time, by the pairs and measured (above or below that):"
    return f"{introduction}\n\n{table(('', 'by pairs', *words, *crossings), rows)}"


def _exponent(exponent: Interval | None, expected: float) -> str:
    if exponent is None:
        return "too few lengths"
    found = verdict(exponent, expected)
    return spell(exponent, "{:.2f}") + f" {found}" * (found != NOT_SHOWN)


def _crossing(scaling: AttentionScaling, attention: str, direction: Direction) -> str:
    if attention == "dense":
        return NO_VALUE
    lengths = scaling.speedups(attention, direction).index.tolist()
    crossing = scaling.crossing(attention, direction)
    if math.isinf(crossing.estimate):
        return f"none up to {lengths[-1]:,}"
    if crossing.estimate <= lengths[0]:
        return f"{lengths[0]:,} or fewer"
    low = f"{crossing.low:,.0f}" + " or fewer" * (crossing.low <= lengths[0])
    high = f"more than {lengths[-1]:,}" if math.isinf(crossing.high) else f"{crossing.high:,.0f}"
    return f"{crossing.estimate:,.0f} [{low}, {high}]"


def _at_longest(scaling: AttentionScaling, attention: str) -> str:
    speedups = scaling.speedups(attention, "forward")
    found = compare(
        scaling.label(attention),
        "dense SDPA",
        Interval(*speedups.iloc[-1]),
        bound=1,
        above="faster than",
        below="slower than",
        form="{:.2f}×",
    )
    return f"{speedups.index[-1]:,} positions: {found}"
