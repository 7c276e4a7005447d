"""A pattern survey in words: every verdict follows from its numbers."""

from sparse_transformers.experiments.attention_patterns.measure import (
    PatternSurvey,
    SurveyedPattern,
)
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.report import (
    NOT_MEASURED,
    bullets,
    compare_speed,
    join,
    number,
    percent,
    prose,
    table,
    times,
)

MOSTLY_WASTED = 0.25
"""Tiles less full than this are pointed out."""


def describe_pictures(survey: PatternSurvey) -> str:
    """What each pattern allows."""
    settings = survey.settings
    rows = [
        (_label(each), f"`{each.measured_pattern}`", percent(each.sparsity))
        for each in survey.patterns
    ]
    return "\n\n".join(
        [
            prose(f"""
            An attention pattern is a rule: may the token at position *q* (the query) look at the
            token at position *k* (the key)? Each pattern is made causal with `& Causal()`, so no
            token sees a later one. The pictures show {settings.picture_len} tokens. The patterns
            grow with the length, so that those of {settings.measured_len:,} positions, measured
            below, look the same."""),
            table(
                ("pattern", f"as Python, at {settings.measured_len:,} positions", "skipped"), rows
            ),
            prose("""
            *Skipped* is the share of the pairs of dense causal attention that the rule leaves out
            (counted)."""),
        ]
    )


def describe_costs(survey: PatternSurvey) -> str:
    """What skipping brings."""
    settings = survey.settings
    headers = (
        "pattern",
        "skipped (counted)",
        "limit by pairs (counted)",
        "limit by tiles (counted)",
        "measured speed-up",
        "measured ms",
        "tile fill (counted)",
    )
    rows = [
        (
            _label(each),
            percent(each.sparsity),
            times(each.theoretical_speedup),
            times(each.tile_speedup),
            times(each.timing.speedup),
            number(each.timing.median_ms),
            percent(each.fill),
        )
        for each in survey.patterns
    ]
    dense = next(each for each in survey.patterns if each.name == "dense")
    return "\n\n".join(
        [
            prose(f"""
            If every skipped pair saved its cost, attention would speed up by the *limit by pairs*.
            A kernel works on tiles, though, and computes a whole tile for the sake of one allowed
            pair: the *limit by tiles* counts that. *Tile fill* is the share of the computed pairs
            that were wanted. The measurement is the forward pass over {settings.measured_len:,}
            positions, {settings.n_heads} heads of {settings.head_dim}, median of
            {settings.repeats}; PyTorch's dense `scaled_dot_product_attention` (SDPA), which took
            turns with the patterns, needs {number(survey.dense.median_ms)} ms."""),
            table(headers, rows),
            bullets(_verdicts(survey)),
            prose(f"""
            The line "dense" is the tiled kernel on a pattern that skips nothing, which shows what
            the tiles themselves cost: it {_speed(survey, dense)}."""),
            prose("""
            **Limits.** Random numbers on one machine, one length, one sequence, no gradients; the
            next section varies the length and adds the backward pass. The tiles are this
            library's: another kernel has other limits."""),
        ]
    )


def describe_reach(survey: PatternSurvey) -> str:
    """How far information travels."""
    last = survey.settings.max_layers
    layers = sorted({1, 2, -(-last // 2), last})
    headers = (
        "pattern",
        *(f"{n} layer{'s' * (n > 1)}" for n in layers),
        f"farthest token back after {last}",
    )
    rows = [
        (
            _label(each),
            *(percent(each.share_reached(n)) for n in layers),
            f"{each.tokens_back(last):,}",
        )
        for each in survey.patterns
    ]
    complete = [_label(each) for each in survey.patterns if each.share_reached(last) == 1]
    partial = [_label(each) for each in survey.patterns if each.share_reached(last) < 1]
    window = next(each for each in survey.patterns if each.name == "local")
    return "\n\n".join(
        [
            prose(f"""
            A token that is out of sight is not out of reach: it may be seen by a token that is
            seen, one layer further on. The table says which share of {survey.settings.reach_len}
            tokens can influence the last one after so many layers. It follows exactly from the
            rules; nothing is trained."""),
            table(headers, rows),
            bullets(
                [
                    f"The last token can depend on the whole text after {last} layers with: "
                    f"{join(complete)}. Parts of it stay out of reach with: {join(partial)}.",
                    f"With the local window information gets {window.tokens_back(1):,} tokens back "
                    f"in one layer and {window.tokens_back(last):,} in {last}.",
                ]
            ),
            prose("**Limits.** Reach is what *can* arrive, not what a trained model passes on."),
        ]
    )


def _verdicts(survey: PatternSurvey) -> list[str]:
    timed = [
        each
        for each in survey.patterns
        if each.name != "dense" and survey.speedup_interval(each) is not None
    ]
    if not timed:
        return ["No sparse pattern was timed."]
    groups: dict[str, list[str]] = {"faster": [], "slower": [], "neither": []}
    for each in timed:
        low, high = survey.speedup_interval(each) or (0.0, 0.0)
        verdict = "faster" if low > 1 else "slower" if high < 1 else "neither"
        groups[verdict].append(_label(each))
    best = max(timed, key=lambda each: each.timing.speedup or 0.0)
    worst = min(timed, key=lambda each: each.timing.speedup or 0.0)
    return [
        f"Faster than dense SDPA beyond the spread of the timings: {join(groups['faster'])}. "
        f"Slower: {join(groups['slower'])}. Neither: {join(groups['neither'])}.",
        *(
            f"The {most}: *{_label(each)}* {_speed(survey, each)}; its pairs alone would allow "
            f"{times(each.theoretical_speedup)}."
            for each, most in ((best, "fastest"), (worst, "slowest"))
        ),
        *(
            f"*{_label(each)}* leaves out {percent(each.sparsity)} of the pairs, but those that it "
            f"keeps are so scattered that the visited tiles are only {percent(each.fill)} full: "
            "most of what is computed is thrown away."
            for each in timed
            if each.fill < MOSTLY_WASTED
        ),
    ]


def _speed(survey: PatternSurvey, each: SurveyedPattern) -> str:
    interval = survey.speedup_interval(each)
    if interval is None or each.timing.speedup is None:
        return f"was {NOT_MEASURED}"
    return compare_speed(each.timing.speedup, interval, "dense SDPA")


def _label(each: SurveyedPattern) -> str:
    return style_of(each.name).label


def findings(result: object) -> list[str]:
    """To be written."""
    return []
