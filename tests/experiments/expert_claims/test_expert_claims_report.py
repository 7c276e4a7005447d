"""The words about encoders with experts say what the numbers say."""

import pytest
from expert_claims_results import NO_GAP, made_up_claims, made_up_corpus

from sparse_transformers.experiments.expert_claims.records import TWIN, WIDE
from sparse_transformers.experiments.expert_claims.report import (
    describe_expert_claims,
    findings,
    summarise,
)
from sparse_transformers.experiments.truthfulness_evaluation.records import MAJORITY

MORE, LESS = (0.123, 0.04, 0.2, 0.002), (-0.123, -0.2, -0.04, 0.002)
TOUCHING = ((0.1, 0.0, 0.2, 0.06), (-0.1, -0.2, 0.0, 0.06))
NOTHING_LEARNED = "has not been shown to learn more than how frequent the verdicts are"


def cells_of(corpus):
    """The cells of the table by the name of the row."""
    lines = summarise(made_up_claims(corpus)).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][2:]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize(
    ("gap", "in_accuracy", "in_loss"),
    [
        *(
            (gap, "is not shown: {:+.1f} points [", "not shown: {:+.3f} bits [")
            for gap in (NO_GAP, *TOUCHING)
        ),
        (
            MORE,
            "is more accurate than a dense twin: +12.3 points [+4.0, +20.0], p = 0.002",
            "worse: +0.123 bits [+0.040, +0.200], p = 0.002;",
        ),
        (
            LESS,
            "is less accurate than a dense twin: -12.3 points [-20.0, -4.0], p = 0.002",
            "better: -0.123 bits [-0.200, -0.040], p = 0.002;",
        ),
    ],
)
def test_a_difference_is_one_only_beyond_its_interval(gap, in_accuracy, in_loss):
    [found] = findings(made_up_claims(made_up_corpus(accuracy={TWIN: gap})))
    accuracy, loss = found.split("; in loss ")
    assert accuracy.startswith("claims, 2 seeds: ")
    assert in_accuracy.format(100 * gap[0]) in accuracy
    assert loss.startswith("not shown")
    [found] = findings(made_up_claims(made_up_corpus(loss={TWIN: gap})))
    accuracy, loss = found.split("; in loss ")
    assert "is not shown" in accuracy
    assert in_loss.format(gap[0]) in loss


@pytest.mark.parametrize(
    ("gap", "points", "bits"),
    [
        (NO_GAP, "+0.0 points [-10.0, +10.0]", "+0.000 bits [-0.100, +0.100]"),
        (MORE, "+12.3 points [+4.0, +20.0]", "+0.123 bits [+0.040, +0.200]"),
        (LESS, "-12.3 points [-20.0, -4.0]", "-0.123 bits [-0.200, -0.040]"),
    ],
)
def test_majority_class_is_the_control(gap, points, bits):
    corpus = made_up_corpus(accuracy={MAJORITY: gap}, loss={MAJORITY: gap})
    [found] = findings(made_up_claims(corpus))
    assert found.endswith(f"; less the majority class {points}, {bits}.")


def test_table_holds_every_judge():
    rows = cells_of(made_up_corpus(ceiling=True))
    assert rows == {
        "experts": ["4,100", "1,100", "3.0", "50.0%", "1.800"],
        "dense twin": ["1,000", "1,000", "3.0", "45.0%", "1.900"],
        "wide dense": ["4,000", "4,000", "3.0", "55.0%", "1.700"],
        "majority": ["–", "–", "–", "25.0%", "2.200"],
        "Bayes classifier": ["–", "–", "–", "60.0%", "1.500"],
    }


def test_setup_is_that_of_the_settings():
    text = describe_expert_claims(made_up_claims(top_k=3, n_seeds=7))
    assert "3 of 4 experts process each token" in text
    assert "one network as wide as 3 experts" in text
    assert "Members of 5 folds" in text
    assert "321 resamples" in text
    assert "1,234 training rows, 321 held out, 6 verdicts, 99 groups (speaker)" in text
    assert "the embedding's 7,000" in text


@pytest.mark.parametrize(("n_seeds", "is_said"), [(1, True), (4, True), (5, False)])
def test_too_few_seeds_are_called_so(n_seeds, is_said):
    text = describe_expert_claims(made_up_claims(n_seeds=n_seeds))
    assert ("too few to rest a claim on" in text) is is_said


def test_ceiling_is_in_the_table_where_it_is_known():
    assert "Bayes classifier" not in cells_of(made_up_corpus())


@pytest.mark.parametrize(
    ("gap", "is_said"), [(LESS, False), (NO_GAP, True), (TOUCHING[1], True), (MORE, True)]
)
def test_encoders_that_learned_nothing_are_not_taken_for_alike(gap, is_said):
    text = describe_expert_claims(made_up_claims(made_up_corpus(loss={MAJORITY: gap})))
    assert (NOTHING_LEARNED in text) is is_said


def test_load_is_told_with_its_worst_case():
    text = describe_expert_claims(made_up_claims())
    assert "1.6 times its even share (median of 3 routers; at most 2.0)" in text
    assert "1 of 12 experts process nothing" in text
    assert "entropy is 80.0% of the greatest" in text


def test_every_data_set_has_its_chapter_and_its_finding():
    claims = made_up_claims(
        made_up_corpus(name="one", accuracy={TWIN: MORE}),
        made_up_corpus(name="two", loss={WIDE: MORE}),
    )
    text = describe_expert_claims(claims)
    assert text.index("**one:**") < text.index("**two:**")
    assert all(chapter in text for chapter in summarise(claims).split("\n\n"))
    first, second = findings(claims)
    assert first.startswith("one, 2 seeds: the encoder with experts is more accurate")
    assert second.startswith("two, 2 seeds: A difference")
