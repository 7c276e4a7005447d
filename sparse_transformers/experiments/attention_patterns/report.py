"""A pattern survey in words: every verdict follows from its numbers."""

from sparse_transformers.experiments.attention_patterns.measure import PatternSurvey
from sparse_transformers.utils.plots.style import style_of
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
from sparse_transformers.utils.verdicts import list_by_verdict, spell

MOSTLY_WASTED = 0.25
"""Tiles less full than this are pointed out."""
SPEEDUP = "{:.2f}×"


def findings(survey: PatternSurvey) -> list[str]:
    """Which patterns are faster than dense attention, and which hide parts of the text."""
    needed, last = survey.layers_needed(), survey.settings.max_layers
    hiding = [style_of(name).label for name in needed if needed[name].isna().any()]
    farthest = (needed.local <= last).idxmax()
    return [
        _speeds(survey),
        f"After {plural(last, 'layer')} the last of {len(needed)} tokens cannot depend on all "
        f"others with: {join(hiding)}. The local window reaches {farthest} tokens back (counted).",
    ]


def describe_pictures(survey: PatternSurvey) -> str:
    """What each pattern allows."""
    settings = survey.settings
    rows = [(style_of(each.name).label, f"`{each.measured_pattern}`") for each in survey.patterns]
    return "\n\n".join(
        [
            prose(f"""
            A pattern is a rule: may the token at one position (the query) attend to that at another
            (the key)? Made causal with `& Causal()`, it hides all later tokens. The pictures show
            {settings.picture_len} tokens; the patterns grow with the length:"""),
            table(("pattern", f"as Python, at {settings.measured_len:,} positions"), rows),
        ]
    )


def describe_costs(survey: PatternSurvey) -> str:
    """What skipping brings."""
    fill = survey.frame().fill
    wasted = [
        f"{style_of(str(name)).label} ({percent(share)} full)"
        for name, share in fill[fill < MOSTLY_WASTED].items()
    ]
    return "\n\n".join(
        [
            summarise(survey),
            bullets([f"Most of what is computed is thrown away with: {join(wasted)}."]),
            prose("""
            **Limits.** Random numbers, one machine, one length, one sequence, no gradients. The
            tiles are this library's: another kernel has other limits."""),
        ]
    )


def describe_reach(survey: PatternSurvey) -> str:
    """How far information travels."""
    return prose("""
        A token that the rule hides can still have an influence, through a token that may attend to
        it, one layer further on. The figure follows exactly from the rules. **Limits.** This is
        what *can* arrive, not what a trained model passes on.""")


def summarise(survey: PatternSurvey) -> str:
    """Theory beside measurement."""
    settings, speedups = survey.settings, survey.speedups()
    rows = [
        (
            style_of(str(name)).label,
            times(row.pair_limit),
            times(row.tile_limit),
            spell(speedups[name], SPEEDUP) if name in speedups else NOT_MEASURED,
            number(row.median_ms) if name in speedups else NOT_MEASURED,
        )
        for name, row in survey.frame().iterrows()
    ]
    return "\n\n".join(
        [
            prose(f"""
            Speed-up over PyTorch's dense causal SDPA ({number(survey.dense.median_ms)} ms): the
            limit if every skipped pair saved its cost, the limit of a kernel that computes whole
            tiles, and the measurement with what the quartiles allow; {settings.measured_len:,}
            positions, {plural(settings.n_heads, "head")} of {settings.head_dim}, forward, median of
            {settings.repeats}:"""),
            table(("pattern", "limit by pairs", "limit by tiles", "measured", "ms"), rows),
        ]
    )


def _speeds(survey: PatternSurvey) -> str:
    speedups, limits = survey.speedups(), survey.frame().pair_limit
    sparse = {style_of(name).label: each for name, each in speedups.items() if name != "dense"}
    if not sparse:
        return "No sparse pattern was timed."
    what = f"the speed of dense SDPA at {survey.settings.measured_len:,} positions"
    ranked = sorted(speedups.keys() - {"dense"}, key=lambda name: speedups[name].estimate)
    extremes = [
        f"The {which} is {style_of(name).label}: {spell(speedups[name], SPEEDUP)}, where its pairs "
        f"would allow {times(limits[name])}"
        for which, name in (("fastest", ranked[-1]), ("slowest", ranked[0]))
    ]
    control = spell(speedups["dense"], SPEEDUP) if "dense" in speedups else NOT_MEASURED
    return (
        f"{list_by_verdict(sparse, 1, what)} {'. '.join(extremes)}. The control, the same kernel "
        f"on all pairs: {control}."
    )
