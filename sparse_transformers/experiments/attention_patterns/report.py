"""A pattern survey in words: every verdict follows from its numbers."""

from collections.abc import Iterable

from sparse_transformers.experiments.attention_patterns.measure import PatternSurvey
from sparse_transformers.utils.plots.style import style_of
from sparse_transformers.utils.report import (
    NOT_MEASURED,
    join,
    number,
    percent,
    plural,
    prose,
    table,
    times,
)
from sparse_transformers.utils.verdicts import ABOVE, BELOW, NOT_SHOWN, by_verdict, spell

SPEEDUP = "{:.2f}×"


def findings(survey: PatternSurvey) -> list[str]:
    """Which patterns are faster than dense attention, and which hide parts of the text."""
    needed, layers = survey.layers_needed(), survey.settings.max_layers
    n_complete = needed.notna().all().sum()
    farthest = (needed.local <= layers).idxmax()
    return [
        _speeds(survey),
        f"After {plural(layers, 'layer')} {n_complete} of {needed.shape[1]} patterns let the last "
        f"of {len(needed)} tokens depend on all others; the local window reaches {farthest} tokens "
        "back.",
    ]


def describe_pictures(survey: PatternSurvey) -> str:
    """What each pattern allows, and which share of the pairs depends on the length most."""
    small = {each.name: each.picture_density for each in survey.patterns}
    large = 1 - survey.frame().skipped
    name = max(small, key=lambda name: small[name] / large[name])
    return prose(f"""
        A pattern is a rule: may the token at one position (the query) attend to that at another
        (the key)? Made causal with `& Causal()`, it hides all later tokens. The pictures show
        {survey.settings.picture_len} tokens. The patterns grow with the length, but not alike:
        {style_of(name).label} allows {percent(small[name])} of the pairs here, and
        {percent(large[name])} at {survey.settings.measured_len:,} tokens.""")


def describe_costs(survey: PatternSurvey) -> str:
    """What skipping brings."""
    limits = prose("""
        **Limits.** Random numbers, one machine, one length, no gradients, and the tiles of this
        library's kernel.""")
    return f"{summarise(survey)}\n\n{limits}"


def describe_reach(survey: PatternSurvey) -> str:
    """How far information travels, with every pattern."""
    needed = survey.layers_needed()
    shares = needed.notna().mean()
    most = needed.max().where(needed.notna().all())
    within = [
        f"{plural(int(layers), 'layer')}: {_labels(names)}"
        for layers, names in most.groupby(most).groups.items()
    ]
    partly = [
        f"{style_of(str(name)).label} {percent(shares[name])}" for name in most.index[most.isna()]
    ]
    text = prose(f"""
        A token that the rule hides can still have an influence, through a token that may attend to
        it, one layer further on. All {len(needed)} tokens can influence the last after
        {"; ".join(within) or "no number of layers"}.""")
    if partly:
        text += f" After {plural(survey.settings.max_layers, 'layer')} still not all of them: "
        text += f"{join(partly)}."
    return f"{text} This follows from the rules: what *can* arrive, not what a model passes on."


def _labels(names: Iterable[str]) -> str:
    return join([style_of(name).label for name in names])


def summarise(survey: PatternSurvey) -> str:
    """The patterns, and theory beside measurement."""
    settings, speedups = survey.settings, survey.speedups()
    pythons = {each.name: each.measured_pattern for each in survey.patterns}
    rows = [
        (
            style_of(str(name)).label,
            f"`{pythons[str(name)]}`",
            times(row.pair_limit),
            times(row.tile_limit),
            spell(speedups[name], SPEEDUP) if name in speedups else NOT_MEASURED,
        )
        for name, row in survey.frame().iterrows()
    ]
    headers = ("pattern", "as Python", "limit by pairs", "limit by tiles", "measured")
    return "\n\n".join(
        [
            prose(f"""
            Speed-up over PyTorch's dense causal SDPA ({number(survey.dense.median_ms)} ms) at
            {settings.measured_len:,} positions, {plural(settings.n_heads, "head")} of
            {settings.head_dim}, forward: the limit if every skipped pair saved its cost, that of a
            kernel that computes whole tiles, and the median of {settings.repeats} with what the
            quartiles allow:"""),
            table(headers, rows),
        ]
    )


def _speeds(survey: PatternSurvey) -> str:
    speedups = survey.speedups()
    control = speedups.pop("dense", None)
    if not speedups:
        return "No sparse pattern was timed."
    found = by_verdict({style_of(name).label: each for name, each in speedups.items()}, bound=1)
    others = "".join(f"; {each}: {join(found[each])}" for each in (BELOW, NOT_SHOWN) if found[each])
    best = max(speedups, key=lambda name: speedups[name].estimate)
    return (
        f"Above the speed of dense SDPA at {survey.settings.measured_len:,} positions: "
        f"{len(found[ABOVE])} of {len(speedups)} sparse patterns{others}. The fastest is "
        f"{style_of(best).label}, {spell(speedups[best], SPEEDUP)}; the control, this kernel on "
        f"all pairs, {spell(control, SPEEDUP) if control else NOT_MEASURED}."
    )
