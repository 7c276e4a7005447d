"""The figures of a dataset survey: the same picture of each dataset, whatever their number."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparse_transformers.experiments.dataset_analysis.measure import DatasetSurvey, SurveyedDataset
from sparse_transformers.utils.analysis.dataset_records import BiasAnalysis
from sparse_transformers.utils.analysis.distribution import Distribution
from sparse_transformers.utils.analysis.label_probes import LabelProbes
from sparse_transformers.utils.plots.base import plot_bars
from sparse_transformers.utils.plots.style import (
    REFERENCE_COLOR,
    finish,
    new_axes,
    new_figure,
    new_panels,
    one_legend,
)

MOST_COLUMNS = 6
MOST_WORDS = 10

REAL, SHUFFLED = "real labels", "shuffled labels (left: 95% stay below; right: mean and highest)"
COLORS = {REAL: "#4F94CD", SHUFFLED: "#C9CED6"}
MARK_COLOR = "#D55E00"


def draw_labels(survey: DatasetSurvey) -> Figure:
    """How the rows of each dataset are spread over its labels."""
    spreads = survey.alike(_label_shares)
    figure, panels = new_panels(len(spreads), height=2.5, columns=3)
    for ax, (name, shares) in zip(panels, spreads, strict=True):
        most = max(shares, key=shares.__getitem__)
        plot_bars(
            list(shares),
            {"_share": [100 * share for share in shares.values()]},  # "_": not in the legend
            colors={"_share": COLORS[REAL]},
            title=f"{name}: {shares[most]:.0%} are {most}",
            xlabel="% of the rows",
            number="{:.0f}",
            ax=ax,
        )
        ax.axvline(100 / len(shares), color=MARK_COLOR, linewidth=1.2, label="equal shares")
    one_legend(figure)
    return figure


def draw_words(survey: DatasetSurvey) -> Figure:
    """The words that each dataset uses most, stop words aside."""
    vocabularies = survey.alike(_common_words)
    figure, panels = new_panels(len(vocabularies), height=3.1, columns=3)
    for ax, (name, frequencies) in zip(panels, vocabularies, strict=True):
        most = next(iter(frequencies), None)
        plot_bars(
            list(frequencies),
            {"frequency": list(frequencies.values())},
            colors={"frequency": COLORS[REAL]},
            title=f"{name}:\nmost often “{most}”" if most else f"{name}: no text",
            xlabel="times in 1,000 words",
            ax=ax,
        )
        ax.margins(x=0.25)
    return figure


def draw_texts(survey: DatasetSurvey) -> Figure:
    """How long and how easy the texts of each label are."""
    texts = survey.alike(lambda dataset: (dataset.main_text or "no text", dataset.by_label()))
    heights = [1.0 + 0.28 * len(by_label) for _, (_, by_label) in texts]
    figure, panels = new_figure(
        len(heights), 2, height=0.4 + sum(heights), height_ratios=heights, squeeze=False
    )
    for (left, right), (name, (_, by_label)) in zip(panels, texts, strict=True):
        words = {label: each for label, (each, _) in by_label.items()}
        ease = {label: each for label, (_, each) in by_label.items()}
        plot_boxes(words, title=_range(name, words), xlabel="words in a text", ax=left)
        xlabel = "Flesch reading ease (right: easier)"
        plot_boxes(ease, title=_range(name, ease), xlabel=xlabel, ax=right)
        left.set_xlim(0, 1.08 * max((each.q95 for each in words.values()), default=1))
    return figure


def draw_bias(survey: DatasetSurvey) -> Figure:
    """What goes with the label, and how far simple models get, beside shuffled labels."""
    n = len(survey.datasets)
    figure, panels = new_figure(n, 2, height=0.5 + 3.1 * n, width_ratios=(1.15, 1), squeeze=False)
    for (left, right), dataset in zip(panels, survey.datasets, strict=True):
        bias = dataset.analysis.bias
        if bias is not None:
            found = "a label leak" if dataset.leaks else "no label leak"
            plot_associations(bias, title=f"{dataset.name}: {found}", ax=left)
        if bias is not None and bias.probes is not None:
            best = max(bias.probes.probes, key=lambda probe: probe.accuracy.estimate)
            title = f"Best model of unseen rows: {best.name}"
            plot_probes(bias.probes, title=title, ax=right)
        for ax in (left, right):
            if not ax.has_data():
                ax.set_title(f"{dataset.name}: too few rows or no label", fontsize=10)
                ax.axis("off")
    one_legend(figure, ncols=3)
    return figure


def plot_boxes(
    distributions: dict[str, Distribution], *, title: str, xlabel: str, ax: Axes | None = None
) -> Axes:
    """Draw a box from quartile to quartile, with the median, and whiskers over nine tenths."""
    ax = new_axes(ax)
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
            whiskerprops={"color": REFERENCE_COLOR},
            capprops={"color": REFERENCE_COLOR},
        )
    ax.set_yticks(range(len(boxes)), list(distributions))
    ax.invert_yaxis()
    return finish(ax, title, xlabel, "", grid="x")


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
        xlabel="% of the label explained by one column, beyond chance",
        number="{:.2f}",
        ax=ax,
    )


def plot_probes(probes: LabelProbes, *, title: str, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each probe with its interval, on real and on shuffled labels."""
    each = probes.probes
    ax = plot_bars(
        [probe.name for probe in each],
        {
            REAL: [100 * probe.accuracy.estimate for probe in each],
            SHUFFLED: [100 * probe.shuffled_mean for probe in each],
        },
        colors=COLORS,
        title=title,
        xlabel="% of the rows right",
        intervals={
            REAL: [(100 * probe.accuracy.low, 100 * probe.accuracy.high) for probe in each],
            SHUFFLED: [(100 * probe.shuffled_mean, 100 * probe.shuffled_high) for probe in each],
        },
        ax=ax,
    )
    label = "always the most common label"
    ax.axvline(100 * probes.majority, color=MARK_COLOR, linewidth=1.2, label=label)
    return ax


def _label_shares(dataset: SurveyedDataset) -> dict[str, float]:
    labels = dataset.analysis.label_analysis
    return {"(no label)": 1.0} if labels is None else labels.label_proportions


def _common_words(dataset: SurveyedDataset) -> dict[str, float]:
    """The most common words of the main text, by how often they come in 1,000 words."""
    texts = dataset.analysis.text_analysis.get(str(dataset.main_text))
    if texts is None:
        return {}
    common = list(texts.common_patterns.common_words.items())[:MOST_WORDS]
    return {word: 1000 * count / texts.vocabulary.words for word, count in common}


def _range(name: str, distributions: dict[str, Distribution]) -> str:
    """A title with the range of the medians."""
    medians = [each.median for each in distributions.values()]
    if not medians:
        return f"{name}: no text"
    low, high = (f"{median:.0f}" for median in (min(medians), max(medians)))
    return f"{name}:\nmedians {low} to {high}" if low != high else f"{name}:\nall medians {low}"
