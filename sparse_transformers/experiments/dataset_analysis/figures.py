"""The figures of a dataset survey: the same picture of each dataset, whatever their number."""

from collections.abc import Callable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.dataset_analysis.measure import DatasetSurvey, SurveyedDataset
from sparse_transformers.utils.analysis.dataset_records import BiasAnalysis
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.analysis.label_probes import LabelProbes
from sparse_transformers.utils.plots.base import plot_bars
from sparse_transformers.utils.plots.style import GRID_COLOR, WIDTH

MOST_COLUMNS = 8
MOST_WORDS = 10

REAL, SHUFFLED = "real labels", "shuffled labels (left: 95% stay below; right: mean and highest)"
COLORS = {REAL: "#4F94CD", SHUFFLED: "#C9CED6"}
MARK_COLOR = "#D55E00"


def draw_labels(survey: DatasetSurvey) -> Figure:
    """How the rows of each dataset are spread over its labels."""

    def draw(dataset: SurveyedDataset, ax: Axes) -> None:
        labels = dataset.analysis.label_analysis
        shares = {"(no label)": 1.0} if labels is None else labels.label_proportions
        plot_bars(
            list(shares),
            {"_share": [100 * share for share in shares.values()]},  # "_": not in the legend
            colors={"_share": COLORS[REAL]},
            title=f"{dataset.name}: {dataset.analysis.basic_stats.total_samples:,} rows",
            xlabel="% of the rows",
            number="{:.0f}",
            ax=ax,
        )
        ax.axvline(100 / len(shares), color=MARK_COLOR, linewidth=1.2, label="equal shares")

    return _draw_grid(survey, draw, height=2.3)


def draw_words(survey: DatasetSurvey) -> Figure:
    """The words that each dataset uses most, stop words aside."""

    def draw(dataset: SurveyedDataset, ax: Axes) -> None:
        words = dict(list(dataset.words_per_thousand.items())[:MOST_WORDS])
        plot_bars(
            list(words),
            {"frequency": list(words.values())},
            colors={"frequency": COLORS[REAL]},
            title=f"{dataset.name}: {dataset.main_text or 'no text'}",
            xlabel="times in 1,000 words",
            ax=ax,
        )

    return _draw_grid(survey, draw, height=2.9, legend=False)


def draw_texts(survey: DatasetSurvey) -> Figure:
    """How long and how easy the texts of each label are."""
    heights = [0.9 + 0.26 * len(dataset.lengths) for dataset in survey.datasets]
    figure, axes = plt.subplots(
        len(survey.datasets),
        2,
        figsize=(WIDTH, 0.4 + sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for (left, right), dataset in zip(axes, survey.datasets, strict=True):
        title = f"{dataset.name}: {dataset.main_text or 'no text'}"
        plot_boxes(dataset.lengths, title=title, xlabel="words in a text", ax=left)
        plot_boxes(
            dataset.reading_ease,
            title=title,
            xlabel="Flesch reading ease (right: easier)",
            ax=right,
        )
        left.set_xlim(0, 1.08 * max((each.q95 for each in dataset.lengths.values()), default=1))
    return figure


def draw_bias(survey: DatasetSurvey) -> Figure:
    """What goes with the label, and how far simple models get, beside shuffled labels."""
    figure, axes = plt.subplots(
        len(survey.datasets),
        2,
        figsize=(WIDTH, 0.5 + 2.9 * len(survey.datasets)),
        width_ratios=(1.15, 1),
        layout="constrained",
        squeeze=False,
    )
    for (left, right), dataset in zip(axes, survey.datasets, strict=True):
        bias = dataset.analysis.bias
        if bias is not None:
            plot_associations(bias, title=f"{dataset.name}: each column by itself", ax=left)
        if bias is not None and bias.probes is not None:
            plot_probes(bias.probes, title="Simple models on unseen rows", ax=right)
        for ax in (left, right):
            if not ax.has_data():
                ax.set_title(f"{dataset.name}: too few rows or no label", fontsize=10)
                ax.axis("off")
    handles = {
        label: handle
        for ax in axes.flat
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def plot_boxes(
    distributions: dict[str, Distribution], *, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """Draw a box from quartile to quartile, with the median, and whiskers over nine tenths."""
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    boxes = [
        {"med": each.median, "q1": each.q25, "q3": each.q75, "whislo": each.q05, "whishi": each.q95}
        for each in distributions.values()
    ]
    if boxes:
        ax.bxp(
            boxes,
            positions=range(len(boxes)),
            orientation="horizontal",
            widths=0.55,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": COLORS[SHUFFLED], "edgecolor": "none"},
            medianprops={"color": "#0B4F8A", "linewidth": 2},
            whiskerprops={"color": "#777777"},
            capprops={"color": "#777777"},
        )
    ax.set_yticks(range(len(boxes)), list(distributions))
    ax.invert_yaxis()
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(xlabel)
    ax.grid(axis="x", color=GRID_COLOR, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def plot_associations(bias: BiasAnalysis, *, title: str, ax: Axes | None = None) -> Axes:
    """Draw how much of the label each column tells, beside what shuffled labels seem to tell."""
    strongest = bias.associations[:MOST_COLUMNS]
    return plot_bars(
        [each.column for each in strongest],
        {
            REAL: [100 * max(0.0, each.explained) for each in strongest],
            SHUFFLED: [100 * max(0.0, each.shuffled_high) for each in strongest],
        },
        colors=COLORS,
        title=title,
        xlabel="% of the label explained, beyond chance",
        number="{:.2f}",
        ax=ax,
    )


def plot_probes(probes: LabelProbes, *, title: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each probe with its interval, on real and on shuffled labels."""
    ax = plot_bars(
        [probe.name for probe in probes.probes],
        {
            REAL: [100 * probe.accuracy.estimate for probe in probes.probes],
            SHUFFLED: [100 * probe.shuffled_mean for probe in probes.probes],
        },
        colors=COLORS,
        title=title,
        xlabel="% of the rows right",
        intervals={
            REAL: [(100 * each.accuracy.low, 100 * each.accuracy.high) for each in probes.probes],
            SHUFFLED: [
                (100 * each.shuffled_mean, 100 * each.shuffled_high) for each in probes.probes
            ],
        },
        ax=ax,
    )
    ax.axvline(
        100 * probes.majority, color=MARK_COLOR, linewidth=1.2, label="always the most common label"
    )
    return ax


def _draw_grid(
    survey: DatasetSurvey,
    draw: Callable[[SurveyedDataset, Axes], None],
    *,
    height: float,
    legend: bool = True,
) -> Figure:
    n = len(survey.datasets)
    n_columns = n if n <= 3 else 2
    n_rows = -(-n // n_columns)
    figure, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(WIDTH, 0.4 + height * n_rows),
        layout="constrained",
        squeeze=False,
    )
    for ax, dataset in zip(axes.flat, survey.datasets, strict=False):
        draw(dataset, ax)
    for ax in axes.flat[n:]:
        ax.axis("off")
    if legend:
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=8
        )
    return figure
