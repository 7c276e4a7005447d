"""The figures of the expert experiment."""

from dataclasses import replace
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sparse_transformers.experiments.expert_routing.records import LABELS, ExpertStudy
from sparse_transformers.experiments.expert_routing.variants import ARMS, BALANCING, FROZEN, HASH
from sparse_transformers.utils.metrics.significance import Interval, mean_interval
from sparse_transformers.utils.plots.base import plot_table
from sparse_transformers.utils.plots.expert_balance import (
    plot_balance_over_training,
    plot_drop_rate,
)
from sparse_transformers.utils.plots.expert_flow import plot_token_flow, token_flow_graph
from sparse_transformers.utils.plots.expert_load import (
    plot_expert_load,
    plot_expert_similarity,
    plot_routing_scores,
    plot_specialization,
)
from sparse_transformers.utils.plots.sankey import flow_nodes_and_links, sankey_html
from sparse_transformers.utils.plots.style import COLORS, GRID_COLOR, REFERENCE_COLOR, WIDTH

ARM_COLORS = {arm.label: color for arm, color in zip(ARMS.values(), cycle(COLORS), strict=False)}
SHOWN_SCORES = (-0.3, 1.2)
"""Whiskers of few seeds may be longer, and are cut at the frame."""
UNTRAINED, SHUFFLED = "control: before training", "control: shuffled classes (95% below)"


def draw_routing(study: ExpertStudy) -> Figure:
    """How much each expert reads, and whom the words of a statement choose."""
    figure, (loads, scores) = plt.subplots(
        2, 1, figsize=(WIDTH, 7.6), height_ratios=(1, 1.05), layout="constrained"
    )
    arms = (*BALANCING, HASH)
    plot_expert_load(
        {ARMS[arm].label: study.runs_of(arm)[0].layers[-1].load for arm in arms},
        ranked=True,
        colors=ARM_COLORS,
        title=f"What the experts of layer {study.settings.n_layers} read, busiest first",
        ax=loads,
    )
    routed = study.close_up.routed
    chosen = np.zeros((len(routed.words), study.settings.num_experts), dtype=bool)
    for place, experts in enumerate(routed.chosen):
        chosen[place, list(experts)] = True
    plot_routing_scores(
        routed.probabilities,
        routed.words,
        chosen,
        title=f"What its router thinks of the words of one statement ({routed.kind}; "
        f"{ARMS[study.watched_arm].label})",
        ax=scores,
    )
    return figure


def draw_specialization(study: ExpertStudy) -> Figure:
    """What experts know of what they read, layer by layer, beside every control."""
    n_layers = study.settings.n_layers
    figure, panels = plt.subplots(
        n_layers, 1, figsize=(WIDTH, 5.4 * n_layers), layout="constrained", squeeze=False
    )
    for layer, ax in enumerate(panels.flat):
        plot_specialization(
            {
                arm: {label: _cut(interval) for label, interval in of_arm.items()}
                for arm, of_arm in specialization_intervals(study, layer).items()
            },
            colors={**ARM_COLORS, UNTRAINED: COLORS[1], SHUFFLED: REFERENCE_COLOR},
            title=f"Layer {layer + 1}: how much an expert tells about what it reads",
            xlabel="chance-corrected mutual information; 0: chance, 1: all there is to know",
            ax=ax,
        )
        ax.set_xlim(*SHOWN_SCORES)
    return figure


def _cut(interval: Interval) -> Interval:
    low, high = SHOWN_SCORES
    return replace(interval, low=max(interval.low, low), high=min(interval.high, high - 0.08))


def draw_balance(study: ExpertStudy) -> Figure:
    """How balance develops, and what each way to balance costs in quality."""
    figure, (balance, quality) = plt.subplots(
        1, 2, figsize=(WIDTH, 4.8), width_ratios=(1, 1.1), layout="constrained"
    )
    steps = [snapshot.step for snapshot in study.runs[0].snapshots]
    plot_balance_over_training(
        steps,
        {
            ARMS[arm].label: [
                [snapshot.max_violation[-1] for snapshot in run.snapshots]
                for run in study.runs_of(arm)
            ]
            for arm in BALANCING
        },
        ylabel="maximal violation (0: even load)",
        colors=ARM_COLORS,
        title=f"Balance in layer {study.settings.n_layers}",
        ax=balance,
    )
    plot_quality(study, ax=quality)
    return figure


def draw_capacity(study: ExpertStudy) -> Figure:
    """What full experts turn away, and what that costs."""
    figure, (dropped, quality) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), layout="constrained")
    arms = [arm for arm in study.arms if study.runs_of(arm)[0].capacities]
    factors = [point.factor for point in study.runs_of(arms[0])[0].capacities]
    plot_drop_rate(
        factors,
        {
            ARMS[arm].label: [
                [point.dropped_share for point in run.capacities] for run in study.runs_of(arm)
            ]
            for arm in arms
        },
        colors=ARM_COLORS,
        ax=dropped,
    )
    for arm in arms:
        bits = np.array([[point.bits_per_word for point in run.capacities[:-1]]
                         for run in study.runs_of(arm)])  # fmt: skip
        quality.plot(
            factors[:-1], bits.mean(0), color=ARM_COLORS[ARMS[arm].label], marker="o", markersize=4
        )
    quality.set_title("What the drops cost", fontsize=10)
    quality.set_xlabel("capacity factor (1: room for the even load)", fontsize=9)
    quality.set_ylabel("bits per held-out word", fontsize=9)
    quality.grid(axis="y", color=GRID_COLOR, linewidth=0.6)
    quality.tick_params(labelsize=8)
    return figure


def draw_close_up(study: ExpertStudy) -> Figure:
    """What each expert is good for, and which experts read alike."""
    figure, (added, alike) = plt.subplots(
        1, 2, figsize=(WIDTH, 4.4), width_ratios=(1.25, 1), layout="constrained"
    )
    bits = np.array(study.close_up.added_bits[-1])  # (experts, kinds)
    plot_table(
        bits.tolist(),
        [[f"{cell:.2f}" for cell in row] for row in bits],
        rows=[f"without {expert}" for expert in range(len(bits))],
        columns=study.close_up.kinds,
        title="Bits that a word costs more without one expert of the last layer",
        xlabel="kind of the statement",
        limits=(0.0, float(bits.max())),
        ax=added,
    )
    added.set_xticks(
        added.get_xticks(), study.close_up.kinds, rotation=40, ha="right", rotation_mode="anchor"
    )
    plot_expert_similarity(
        study.close_up.similarity, title="How alike the kinds are that two experts read", ax=alike
    )
    return figure


def draw_flow(study: ExpertStudy) -> Figure:
    """The way of the words from their kind through the experts of every layer."""
    figure, ax = plt.subplots(figsize=(WIDTH, 5.6), layout="constrained")
    plot_token_flow(
        token_flow_graph(flow_stages(study)),
        min_share=0.01,
        title=f"First choices of held-out words ({ARMS[study.watched_arm].label})",
        ax=ax,
    )
    return figure


def flow_page(study: ExpertStudy) -> str:
    """The same as an interactive page that needs no network."""
    nodes, links = flow_nodes_and_links(token_flow_graph(flow_stages(study)))
    return sankey_html(
        nodes, links, "From the kind of a statement to the experts that read its words"
    )


def flow_stages(study: ExpertStudy) -> dict[str, NDArray[np.object_] | NDArray[np.int64]]:
    """Kind and first choice in each layer of every held-out word, in no particular order."""
    paths = study.close_up.paths
    repeats = [path.n_words for path in paths]
    stages: dict[str, NDArray[np.object_] | NDArray[np.int64]] = {
        "kind": np.repeat([path.kind for path in paths], repeats)
    }
    for layer in range(study.settings.n_layers):
        stages[f"layer {layer + 1}"] = np.repeat([path.experts[layer] for path in paths], repeats)
    return stages


def plot_quality(study: ExpertStudy, ax: Axes | None = None) -> Axes:
    """Draw the final loss of every arm: a dot for each seed, and the mean as a bar."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    for place, arm in enumerate(study.arms):
        bits = [run.final_bits for run in study.runs_of(arm)]
        color = ARM_COLORS[ARMS[arm].label]
        ax.plot(bits, [place] * len(bits), "o", color=color, markersize=5, alpha=0.7)
        ax.plot([np.mean(bits)] * 2, [place - 0.3, place + 0.3], color=color, linewidth=2)
    ax.set_yticks(range(len(study.arms)), [ARMS[arm].label for arm in study.arms])
    ax.invert_yaxis()
    ax.set_title(f"Quality (floor: {study.floor_bits:.2f} bits)", fontsize=10)
    ax.set_xlabel("bits per held-out word, one dot per seed", fontsize=9)
    ax.grid(axis="x", color=GRID_COLOR, linewidth=0.6)
    ax.tick_params(labelsize=8)
    return ax


def specialization_intervals(study: ExpertStudy, layer: int) -> dict[str, dict[str, Interval]]:
    """The scores of the watched arm in one layer and those of its controls, over the seeds."""
    watched = study.watched_arm

    def of_arm(arm: str, *, trained: bool = True) -> dict[str, Interval]:
        return {
            label: mean_interval(study.scores_of(arm, label, layer, trained=trained))
            for label in LABELS
        }

    by_chance = {
        label: [run.scores[layer][label].null_high_score for run in study.runs_of(watched)]
        for label in LABELS
    }
    return {
        ARMS[watched].label: of_arm(watched),
        UNTRAINED: of_arm(watched, trained=False),
        ARMS[FROZEN].label: of_arm(FROZEN),
        ARMS[HASH].label: of_arm(HASH),
        SHUFFLED: {
            label: Interval(0.0, 0.0, float(np.mean(highs))) for label, highs in by_chance.items()
        },
    }
