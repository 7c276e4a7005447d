"""The figure of encoders with experts draws the numbers that were found."""

import io

import pytest
from expert_claims_results import ACCURACIES, LOSSES, made_up_claims, made_up_corpus

from sparse_transformers.experiments.expert_claims.figures import (
    MEASURES,
    draw_expert_claims,
    plot_judges,
    plot_leads,
)
from sparse_transformers.experiments.expert_claims.records import EXPERTS, TWIN, WIDE
from sparse_transformers.experiments.truthfulness_evaluation.records import MAJORITY

GAPS = {TWIN: (0.2, 0.1, 0.3, 0.01), WIDE: (-0.3, -0.4, -0.2, 0.01), MAJORITY: (0.9, 0.8, 1.0, 0.0)}


def dots_of(ax):
    return [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]


def whiskers_of(ax):
    lines = [tuple(line.get_xdata()) for line in ax.get_lines() if len(line.get_xdata()) == 2]
    return [line for line in lines if line[0] != line[1]]


@pytest.mark.parametrize(
    ("measure", "values", "spread"), [("accuracy", ACCURACIES, 0.02), ("loss_bits", LOSSES, 0.03)]
)
def test_judges_are_dots_with_intervals_and_a_ring_for_each_seed(measure, values, spread):
    ax = plot_judges(made_up_corpus(ceiling=True), measure)
    assert [text.get_text() for text in ax.get_yticklabels()] == [EXPERTS, TWIN, WIDE]
    expected = list(values.values())
    assert dots_of(ax) == expected
    assert whiskers_of(ax) == [(value - 0.1, value + 0.1) for value in expected]
    rings = [place[0] for each in ax.collections for place in each.get_offsets()]
    assert rings == pytest.approx([value + s for value in expected for s in (-spread, spread)])


@pytest.mark.parametrize(
    ("measure", "majority", "best"), [("accuracy", 0.25, 0.6), ("loss_bits", 2.2, 1.5)]
)
@pytest.mark.parametrize("ceiling", [False, True])
def test_references_are_lines(measure, majority, best, ceiling):
    ax = plot_judges(made_up_corpus(ceiling=ceiling), measure)
    upright = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2]
    places = [start for start, end in upright if start == end]
    assert places == [majority, best][: 1 + ceiling]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    expected = [f"majority: {majority:.3f}", f"Bayes classifier: {best:.3f}"][: 1 + ceiling]
    assert labels == [*expected, "one seed"]


@pytest.mark.parametrize(
    ("measure", "changed"), [("accuracy", {"accuracy": GAPS}), ("loss_bits", {"loss": GAPS})]
)
def test_leads_are_paired_differences_to_the_dense_encoders(measure, changed):
    ax = plot_leads(made_up_corpus(**changed), measure)
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "experts less\ndense twin",
        "experts less\nwide dense",
    ]
    assert dots_of(ax) == [0.2, -0.3]
    assert whiskers_of(ax) == [(0.1, 0.3), (-0.4, -0.2)]
    assert [0, 0] in [list(line.get_xdata()) for line in ax.get_lines()]
    assert ax.get_title() == "experts less dense twin: above, wide dense: below"
    assert [text.get_text() for text in ax.texts] == [
        "+0.200 [+0.100, +0.300], p = 0.010",
        "-0.300 [-0.400, -0.200], p = 0.010",
    ]


def test_title_tells_of_no_difference_that_is_not_shown():
    ax = plot_leads(made_up_corpus(accuracy={TWIN: (0.1, 0.0, 0.2, 0.06)}), "accuracy")
    assert ax.get_title() == "experts less dense twin: not shown, wide dense: not shown"


@pytest.mark.parametrize("n_corpora", [1, 2])
def test_every_data_set_has_two_panels_for_each_measure(n_corpora):
    names = [f"table {nth}" for nth in range(n_corpora)]
    figure = draw_expert_claims(made_up_claims(*(made_up_corpus(name=name) for name in names)))
    assert len(figure.axes) == 4 * n_corpora
    titles = [ax.get_title() for ax in figure.axes if "held-out" in ax.get_title()]
    assert titles == [f"{name}: 321 held-out claims" for name in names for _ in range(2)]
    labels = [ax.get_xlabel() for ax in figure.axes]
    (accuracy, accuracy_lead), (loss, loss_lead) = MEASURES.values()
    assert labels == [accuracy, loss, accuracy_lead, loss_lead] * n_corpora
    figure.savefig(io.BytesIO(), format="png")
