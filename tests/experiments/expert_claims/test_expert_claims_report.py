"""The words about encoders with experts say what the numbers say."""

import pytest
from expert_claims_results import NO_GAP, made_up_claims, made_up_corpus

from sparse_transformers.experiments.expert_claims.records import TWIN, WIDE
from sparse_transformers.experiments.expert_claims.report import (
    describe_expert_claims,
    summarise_expert_claims,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import MAJORITY

MORE, LESS = (0.123, 0.04, 0.2, 0.002), (-0.123, -0.2, -0.04, 0.002)
TOUCHING = ((0.1, 0.0, 0.2, 0.06), (-0.1, -0.2, 0.0, 0.06))
NOTHING_LEARNED = "has not learned more than how frequent the verdicts are"


def verdict_on(other, text):
    [line] = [line for line in text.splitlines() if line.startswith(f"- Beside the *{other}*")]
    return line


@pytest.mark.parametrize("other", [TWIN, WIDE, MAJORITY])
@pytest.mark.parametrize(
    ("gap", "in_accuracy", "in_loss"),
    [
        (NO_GAP, "is not distinguishable in accuracy (", "and not distinguishable in loss ("),
        (TOUCHING[0], "is not distinguishable in accuracy (", "and not distinguishable in loss ("),
        (TOUCHING[1], "is not distinguishable in accuracy (", "and not distinguishable in loss ("),
        (
            MORE,
            "is more accurate (+12.3 points; +4.0 to +20.0, p = 0.002)",
            "and worse in loss (+0.123 bits per claim; +0.040 to +0.200, p = 0.002)",
        ),
        (
            LESS,
            "is less accurate (-12.3 points; -20.0 to -4.0, p = 0.002)",
            "and better in loss (-0.123 bits per claim; -0.200 to -0.040, p = 0.002)",
        ),
    ],
)
def test_a_difference_is_one_only_beyond_its_interval(other, gap, in_accuracy, in_loss):
    text = describe_expert_claims(made_up_claims(made_up_corpus(accuracy={other: gap})))
    assert in_accuracy in verdict_on(other, text)
    assert "not distinguishable in loss" in verdict_on(other, text)
    text = describe_expert_claims(made_up_claims(made_up_corpus(loss={other: gap})))
    assert in_loss in verdict_on(other, text)
    assert "not distinguishable in accuracy" in verdict_on(other, text)


def test_table_holds_every_judge():
    text = describe_expert_claims(made_up_claims(made_up_corpus(ceiling=True)))
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "| experts | 4,100 | 1,100 | 0.500 [0.400, 0.600] | 1.800 [1.700, 1.900] | 3.0 |",
        "| dense twin | 1,000 | 1,000 | 0.450 [0.350, 0.550] | 1.900 [1.800, 2.000] | 3.0 |",
        "| wide dense | 4,000 | 4,000 | 0.550 [0.450, 0.650] | 1.700 [1.600, 1.800] | 3.0 |",
        "| majority | – | – | 0.250 [0.150, 0.350] | 2.200 [2.100, 2.300] | – |",
        "| Bayes classifier | – | – | 0.600 [0.500, 0.700] | 1.500 [1.400, 1.600] | – |",
    ]


def test_setup_is_that_of_the_settings():
    text = describe_expert_claims(made_up_claims(top_k=3, n_seeds=7))
    assert "it has 4 experts, 3 for each token" in text
    assert "one network as wide as 3 experts" in text
    assert "5 members trained on different folds" in text
    assert "Means are over 7 seeds" in text
    assert "from 321 resamples" in text
    assert "1,234 rows to learn from, 321 held out, 6 verdicts" in text
    assert "resampled by speaker (99 of them)" in text
    assert "the same 7,000 weights in every encoder" in text
    assert "over the one seed" in describe_expert_claims(made_up_claims(n_seeds=1))


@pytest.mark.parametrize("ceiling", [False, True])
def test_ceiling_is_told_where_it_is_known(ceiling):
    text = describe_expert_claims(made_up_claims(made_up_corpus(ceiling=ceiling)))
    sentence = "right in 60% of these. In loss, the encoder with experts is 0.300 bits per claim "
    assert (sentence + "above it, the dense twin 0.400." in text) is ceiling
    assert ("The best possible judge" in text) is ceiling


@pytest.mark.parametrize(
    ("gap", "is_said"), [(LESS, False), (NO_GAP, True), (TOUCHING[1], True), (MORE, True)]
)
def test_encoders_that_learned_nothing_are_not_taken_for_alike(gap, is_said):
    text = describe_expert_claims(made_up_claims(made_up_corpus(loss={MAJORITY: gap})))
    assert (NOTHING_LEARNED in text) is is_said


def test_load_is_told_with_its_worst_case():
    text = describe_expert_claims(made_up_claims())
    assert "reads 1.6 times its even share (the median of 3 routers; 2.0 times at most)" in text
    assert "1 of 12 experts read nothing" in text
    assert "is 80.0% of the most possible" in text


def test_every_data_set_has_its_chapter_and_its_line_in_the_summary():
    corpora = [
        made_up_corpus(name="one", accuracy={TWIN: MORE}),
        made_up_corpus(name="two", loss={WIDE: MORE}),
    ]
    text = describe_expert_claims(made_up_claims(*corpora))
    assert text.index("**one**") < text.index("**two**")
    first, second = summarise_expert_claims(made_up_claims(*corpora)).splitlines()
    assert first.startswith(
        "- *one.* Beside the *dense twin*, the encoder with experts is more acc"
    )
    assert second.startswith(
        "- *two.* Beside the *dense twin*, the encoder with experts is not dis"
    )
