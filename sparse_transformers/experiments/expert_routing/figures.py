"""The figures of the expert experiment."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from sparse_transformers.experiments.expert_routing.records import (
    CLASSES,
    ExpertStudy,
    compare_with_frozen,
    effects_of_balancing,
)
from sparse_transformers.experiments.expert_routing.variants import (
    BALANCING,
    FROZEN,
    HASH,
    LABEL_COLORS,
    LABELS,
    SHUFFLED,
    UNBALANCED,
    UNTRAINED,
)
from sparse_transformers.utils.plots.base import plot_table
from sparse_transformers.utils.plots.expert_flow import (
    plot_token_flow,
    token_flow_graph,
    token_flow_page,
)
from sparse_transformers.utils.plots.expert_load import plot_expert_load, plot_routing_scores
from sparse_transformers.utils.plots.expert_specialization import (
    plot_expert_similarity,
    plot_specialization,
)
from sparse_transformers.utils.plots.style import REFERENCE_COLOR, finish, new_figure
from sparse_transformers.utils.records import to_frame
from sparse_transformers.utils.report import number
from sparse_transformers.utils.verdicts import ABOVE, BELOW, by_verdict

STATISTICS = {
    "coefficient_of_variation": "variation\nof the load",
    "normalised_entropy": "entropy of\nthe load (of 1)",
    "dead_experts": "unused\nexperts",
    "normalised_router_entropy": "entropy of the\nrouter (of 1)",
    "margin": "lead of the\nlikeliest",
    "repeat_rate": "neighbours\nchoose alike",
    "repeat_rate_by_chance": "the same\nby chance",
}
"""Fields of `LayerStatistics`, and their names in the figure."""


def draw_routing(study: ExpertStudy) -> Figure:
    """The loads, statistics of the routing, and a router's probabilities for one statement."""
    figure, (loads, statistics, scores) = new_figure(
        3, 1, height=10.4, height_ratios=(1, 0.8, 1.05)
    )
    shown = (UNBALANCED, *BALANCING, HASH)
    first = {run.variant: run.layers for run in study.runs if run.seed == study.runs[0].seed}
    busiest = [max(first[name][-1].load) for name in shown]
    plot_expert_load(
        {LABELS[name]: first[name][-1].load for name in shown},
        ranked=True,
        colors=LABEL_COLORS,
        title=f"Layer {study.settings.n_layers}: the busiest expert has {min(busiest):.0%} to "
        f"{max(busiest):.0%} of the assignments",
        ax=loads,
    )
    plot_statistics(study, statistics)
    routed = study.close_up.routed
    plot_routing_scores(
        routed.probabilities,
        routed.words,
        [np.isin(range(study.settings.num_experts), experts) for experts in routed.chosen],
        title=f"The router's probabilities for a {routed.kind} statement",
        ax=scores,
    )
    return figure


def plot_statistics(study: ExpertStudy, ax: Axes | None = None) -> Axes:
    """Draw how every variant routes, as means over layers and seeds."""
    means = study.table("layers").groupby("label", sort=False)[list(STATISTICS)].mean()
    return plot_table(
        (means / means.max().replace(0, 1)).to_numpy().tolist(),
        [[number(mean, 2) for mean in row] for row in means.to_numpy()],
        rows=means.index.tolist(),
        columns=list(STATISTICS.values()),
        title=f"Entropy of the load: {means.normalised_entropy.min():.2f} to "
        f"{means.normalised_entropy.max():.2f} of 1 (means over layers and seeds)",
        limits=(0, 1),
        ax=ax,
    )


def draw_specialization(study: ExpertStudy) -> Figure:
    """What the first choice tells about the words, layer by layer, beside every control."""
    n_layers = study.settings.n_layers
    figure, panels = new_figure(n_layers, 1, height=0.6 + 3.6 * n_layers, squeeze=False)
    for layer, ax in enumerate(panels.flat):
        sentence = compare_with_frozen(study, layer).rstrip(".")
        plot_specialization(
            specialization_scores(study, layer),
            colors=LABEL_COLORS,
            title=f"Layer {layer + 1}, beyond word and position:\n{sentence}",
            xlabel="chance-corrected mutual information, a dot per seed; 1: the most there is",
            ax=ax,
        )
    for ax in panels.flat[:-1]:
        ax.get_legend().remove()  # that of the last layer is enough
    return figure


def specialization_scores(study: ExpertStudy, layer: int) -> dict[str, dict[str, list[float]]]:
    """The scores of the main variant in one layer and those of its controls, of each seed."""
    scores = {
        LABELS[name]: {each: study.scores(each, layer)[name].tolist() for each in CLASSES}
        for name in (study.main_variant, UNTRAINED, FROZEN, HASH)
    }
    highs = {each: study.scores(each, layer, "null_high_score") for each in CLASSES}
    scores[LABELS[SHUFFLED]] = {
        each: high[study.main_variant].tolist() for each, high in highs.items()
    }
    return scores


def draw_balance(study: ExpertStudy) -> Figure:
    """The balance over the training, and the final loss of every variant."""
    import seaborn as sns  # slow to import

    figure, (balance, quality) = new_figure(1, 2, height=4.8, width_ratios=(1, 1.1))
    last, n_ways = study.settings.n_layers - 1, len(BALANCING)
    n_even = len(by_verdict(effects_of_balancing(study.violations(last)))[BELOW])
    n_costs = len(by_verdict(effects_of_balancing(study.bits()))[ABOVE])
    snapshots = study.table("snapshots")
    rows = snapshots[snapshots.variant.isin((UNBALANCED, *BALANCING))]
    sns.lineplot(
        rows.assign(violation=rows.max_violation.str[-1]),
        x="step",
        y="violation",
        hue="label",
        style="label",
        palette=LABEL_COLORS,
        errorbar=None,
        ax=balance,
    )
    finish(
        balance,
        f"Layer {last + 1}: more even shown for {n_even} of {n_ways} ways",
        "optimiser step (mean over the seeds)",
        "maximal violation (0: even load)",
    )
    plot_quality(study, title=f"A cost is shown for {n_costs} of {n_ways} ways", ax=quality)
    return figure


def plot_quality(study: ExpertStudy, *, title: str, ax: Axes) -> Axes:
    """Draw the final loss of every variant: a dot for each seed, and a bar at their mean."""
    import seaborn as sns  # slow to import

    last = study.table("snapshots").groupby(["label", "seed"], sort=False, as_index=False).last()
    options = {"x": "bits_per_word", "y": "label", "hue": "label", "palette": LABEL_COLORS}
    sns.stripplot(last, **options, jitter=False, alpha=0.7, legend=False, ax=ax)
    means = {"errorbar": None, "linestyle": "", "marker": "|", "markersize": 18}
    sns.pointplot(last, **options, **means, legend=False, ax=ax)
    xlabel = f"bits per held-out word, one dot per seed (floor: {study.floor_bits:.2f})"
    return finish(ax, title, xlabel, "", grid="x")


def draw_capacity(study: ExpertStudy) -> Figure:
    """The share of dropped assignments at each capacity, and the loss with it."""
    import seaborn as sns  # slow to import

    figure, (dropped, quality) = new_figure(1, 2, height=4.4)
    points = study.table("capacities")
    factors = points.factor.dropna().unique()
    dropless = 1.15 * factors.max()
    nearest = min(factors, key=lambda factor: abs(factor - 1))
    shares = points.query("factor == @nearest").groupby("label").dropped_share.mean()
    drops = f"At a factor of {nearest:g}, {shares.min():.0%} to {shares.max():.0%} are dropped"
    bits = points.query("factor == @nearest").groupby("label").bits_per_word.mean()
    costs = f"Loss at a factor of {nearest:g}: {bits.min():.2f} to {bits.max():.2f} bits"
    for ax, column, title, ylabel in (
        (dropped, "dropped_share", drops, "dropped share of the assignments"),
        (quality, "bits_per_word", costs, "bits per held-out word"),
    ):
        options = {"x": "factor", "y": column, "hue": "label", "palette": LABEL_COLORS, "ax": ax}
        limited = {"style": "label", "markers": True, "dashes": False, "err_style": "bars"}
        sns.lineplot(points.dropna(), **options, **limited, errorbar=("pi", 100))
        unlimited = points[points.factor.isna()].assign(factor=dropless)
        sns.scatterplot(unlimited, **options, style="label", legend=False)
        ax.axvline((factors.max() + dropless) / 2, color=REFERENCE_COLOR, linestyle=":")
        finish(ax, title, "capacity factor (1: room for the even load)", ylabel)
        ax.set_xticks([*factors, dropless], [*(f"{each:g}" for each in factors), "no limit"])
    dropped.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    return figure


def draw_close_up(study: ExpertStudy) -> Figure:
    """The loss without each expert, and how alike the experts are."""
    figure, (added, alike) = new_figure(1, 2, height=4.4, width_ratios=(1.25, 1))
    bits = np.array(study.close_up.added_bits[-1])  # (experts, kinds)
    is_shown = np.abs(bits) > 2 * np.array(study.close_up.errors_bits[-1])
    plot_table(
        bits.tolist(),
        np.where(is_shown, np.char.mod("%.2f", bits.round(2) + 0.0), "").tolist(),  # no "-0.00"
        rows=[f"without {expert}" for expert in range(len(bits))],
        columns=study.close_up.kinds,
        title=f"Without one expert, a word costs up to {bits.max():.2f} bits more",
        xlabel="kind of the statement (empty: within two standard errors)",
        limits=(0.0, float(bits.max())),
        ax=added,
    )
    added.set_xticks(
        added.get_xticks(), study.close_up.kinds, rotation=40, ha="right", rotation_mode="anchor"
    )
    similarity = np.array(study.close_up.similarity)
    plot_expert_similarity(
        similarity, title=f"Kinds of two experts: cosine from {similarity.min():.2f} on", ax=alike
    )
    return figure


def draw_flow(study: ExpertStudy) -> Figure:
    """The flow of the words from their kind through the experts of every layer."""
    figure, ax = new_figure(height=5.6)
    plot_token_flow(
        token_flow_graph(flow_stages(study)),
        min_share=0.01,
        title=f"First choices of held-out words ({LABELS[study.main_variant]})",
        ax=ax,
    )
    return figure


def flow_page(study: ExpertStudy) -> str:
    """The same as an interactive page that needs no network."""
    title = "From the kind of a statement to the experts of its words"
    return token_flow_page(token_flow_graph(flow_stages(study)), title)


def flow_stages(study: ExpertStudy) -> dict[str, ArrayLike]:
    """Kind and first choice in each layer of every held-out word, in no particular order."""
    paths = to_frame(study.close_up.paths)
    words = paths.loc[paths.index.repeat(paths.n_words)]
    layers = {
        f"layer {layer + 1}": words.experts.str[layer] for layer in range(study.settings.n_layers)
    }
    return {"kind": words.kind, **layers}
