"""A pattern survey in words: every verdict follows from its numbers."""

from sparse_transformers.experiments.pattern_survey import PatternSurvey, SurveyedPattern
from sparse_transformers.utils.plotting import style_of
from sparse_transformers.utils.report import (
    NOT_MEASURED,
    compare_speed,
    join,
    number,
    percent,
    table,
    times,
)

MOSTLY_WASTED = 0.25
"""Tiles less full than this are pointed out."""


def describe_pictures(survey: PatternSurvey) -> str:
    """What each pattern allows."""
    rows = [
        (style_of(each.name).label, f"`{each.measured_pattern}`", percent(each.sparsity))
        for each in survey.patterns
    ]
    return f"""\
An attention pattern is a rule: may the token at position *q* (the query) look at the token at
position *k* (the key)? All patterns here are causal, so no token sees a later one. Each picture
shows {survey.settings.picture_len} tokens; the patterns grow with the length, so the measurements
below, at {survey.settings.measured_len:,} positions, belong to the same pictures enlarged.

{table(("pattern", f"as Python, at {survey.settings.measured_len:,} positions", "skipped"), rows)}

*Skipped* is the share of the pairs of dense causal attention that the rule leaves out (counted)."""


def describe_costs(survey: PatternSurvey) -> str:
    """What skipping brings."""
    settings = survey.settings
    rows = [
        (
            style_of(each.name).label,
            percent(each.sparsity),
            times(each.theoretical_speedup),
            times(each.tile_speedup),
            times(each.timing.speedup),
            number(each.timing.median_ms),
            percent(each.fill),
        )
        for each in survey.patterns
    ]
    headers = (
        "pattern",
        "skipped (counted)",
        "limit by pairs (counted)",
        "limit by tiles (counted)",
        "measured speed-up",
        "measured ms",
        "tile fill (counted)",
    )
    return f"""\
If a skipped pair saved its whole cost, attention would speed up by the *limit by pairs*. A kernel
works on tiles, though, and has to compute a whole tile for a single allowed pair: the *limit by
tiles* counts that. *Tile fill* is the share of computed pairs that were wanted. The measurement is
the forward pass over {settings.measured_len:,} positions, {settings.n_heads} heads of
{settings.head_dim}, median of {settings.repeats}, beside PyTorch's dense
`scaled_dot_product_attention` at {number(survey.dense.median_ms)} ms in the same run.

{table(headers, rows)}

{_verdicts(survey)}

The line "dense" runs the tiled kernel on a pattern that skips nothing. It shows what the tiles cost
by themselves: {_dense_verdict(survey)}

**Limits.** Random numbers on one machine, one length, one sequence, no gradients; the next section
varies the length and adds the backward pass. How the pattern is cut into tiles is this library's
choice: another kernel would have other limits."""


def describe_reach(survey: PatternSurvey) -> str:
    """How far information travels."""
    last = survey.settings.max_layers
    layers = sorted({1, 2, last // 2, last})
    rows = [
        (
            style_of(each.name).label,
            *(percent(each.share_reached(n)) for n in layers),
            f"{each.tokens_back(last):,}",
        )
        for each in survey.patterns
    ]
    headers = (
        "pattern",
        *(f"{n} layer{'s' * (n > 1)}" for n in layers),
        f"farthest token back after {last}",
    )
    complete = [
        style_of(each.name).label for each in survey.patterns if each.share_reached(last) == 1
    ]
    partial = [
        style_of(each.name).label for each in survey.patterns if each.share_reached(last) < 1
    ]
    window = next(each for each in survey.patterns if each.name == "local")
    return f"""\
A token that is out of sight is not out of reach: it may be seen by a token that is seen, one layer
further on. The table says which share of {survey.settings.reach_len} tokens can influence the last
one after so many layers (computed exactly from the rules; nothing is trained).

{table(headers, rows)}

After {last} layers the last token can depend on the whole text with: {join(complete)}. Parts of the
text stay out of reach with: {join(partial)}. With the local window information gets
{window.tokens_back(1):,} tokens back in one layer and {window.tokens_back(last):,} in {last}.

**Limits.** Reach says what *can* arrive, not what a trained model passes on."""


def _verdicts(survey: PatternSurvey) -> str:
    timed = [
        each
        for each in survey.patterns
        if each.name != "dense" and survey.speedup_interval(each) is not None
    ]
    if not timed:
        return "No sparse pattern was timed."
    groups: dict[str, list[str]] = {"faster": [], "slower": [], "neither": []}
    for each in timed:
        low, high = survey.speedup_interval(each) or (0.0, 0.0)
        verdict = "faster" if low > 1 else "slower" if high < 1 else "neither"
        groups[verdict].append(style_of(each.name).label)
    best = max(timed, key=lambda each: each.timing.speedup or 0.0)
    worst = min(timed, key=lambda each: each.timing.speedup or 0.0)
    lines = [
        f"- Faster than dense beyond the spread of the timings: {join(groups['faster'])}. "
        f"Slower: {join(groups['slower'])}. Neither: {join(groups['neither'])}.",
        *(
            f"- {_label(each)} gains {most}: it {_speed(survey, each)}; its pairs alone would "
            f"allow {times(each.theoretical_speedup)}."
            for each, most in ((best, "most"), (worst, "least"))
        ),
        *(
            f"- {_label(each)} skips {percent(each.sparsity)} of the pairs, but so scattered that "
            f"its tiles are only {percent(each.fill)} full: most of what is computed is thrown away."
            for each in timed
            if each.fill < MOSTLY_WASTED
        ),
    ]
    return "\n".join(lines)


def _dense_verdict(survey: PatternSurvey) -> str:
    dense = next(each for each in survey.patterns if each.name == "dense")
    return f"it {_speed(survey, dense)}."


def _speed(survey: PatternSurvey, each: SurveyedPattern) -> str:
    interval = survey.speedup_interval(each)
    if interval is None or each.timing.speedup is None:
        return f"was {NOT_MEASURED}"
    return compare_speed(each.timing.speedup, interval, "dense SDPA")


def _label(each: SurveyedPattern) -> str:
    label = style_of(each.name).label
    return label[0].upper() + label[1:]
