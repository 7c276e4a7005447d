"""The short form of the evidence experiment says what the numbers say."""

import pytest

from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    SEEN,
    UNREACHED,
    EvidenceRecall,
    EvidenceRecallSettings,
    TrainedModel,
    Verdicts,
)
from sparse_transformers.experiments.evidence_recall.patterns import evidence_arm
from sparse_transformers.experiments.evidence_recall.report import summarise

BASIC = [
    ("dense", 32, False, SEEN, 100, 100),
    ("dense", 64, False, SEEN, 100, 98),
    ("top_k", 32, False, SEEN, 100, 97),
    ("top_k", 64, False, SEEN, 100, 80),
    ("local", 64, False, SEEN, 100, 99),
    ("local", 64, False, REACHED, 100, 50),
    ("local", 64, False, UNREACHED, 80, 42),
    ("strided", 64, False, SEEN, 100, 90),
]


def made_up(verdicts=BASIC, *, change=0.0, adaptation_steps=0, n_seeds=1):
    """A result with these verdicts: (arm, length, adapted, reach, n_claims, n_right)."""
    names = dict.fromkeys(each[0] for each in verdicts)
    return EvidenceRecall(
        settings=EvidenceRecallSettings(
            lengths=(32, 64), keys_per_query=16, adaptation_steps=adaptation_steps
        ),
        models=tuple(TrainedModel(seed, (), 1.0) for seed in range(n_seeds)),
        arms=tuple(evidence_arm(name, length, 16) for length in (32, 64) for name in names),
        verdicts=tuple(
            Verdicts(arm, length, 0, adapted, reach, 8, n_claims, n_right)
            for arm, length, adapted, reach, n_claims, n_right in verdicts
        ),
        most_change_from_beyond=change,
        example="",
    )


def test_table_is_of_the_longest_documents():
    rows = [line for line in summarise(made_up()).splitlines() if line.startswith("| ")]
    headers, _, dense, top_k, local, strided = (row.strip("| ").split(" | ") for row in rows)
    assert headers[2:] == [
        "fact seen in one layer",
        "only by way of other tokens",
        "out of reach",
    ]
    assert dense == ["dense", "100%", "98.0% (93.0% to 99.4%) of 100", "none", "none"]
    # A window of 16 in 64 tokens: 16 * 64 - 16 * 15 / 2 = 904 of 2,080 pairs.
    assert local == [
        "local window",
        "43%",
        "99.0% (94.6% to 99.8%) of 100",
        "50.0% (40.4% to 59.6%) of 100",
        "52.5% (41.7% to 63.1%) of 80",
    ]
    assert top_k[1] == "43%"
    assert strided[2].startswith("90.0%")


@pytest.mark.parametrize(("n_seeds", "said"), [(1, "over one seed"), (3, "over 3 seeds")])
def test_heading_counts_tokens_and_seeds(n_seeds, said):
    text = summarise(made_up(n_seeds=n_seeds))
    assert f"Right verdicts at 64 tokens {said}, with 95% intervals" in text


def test_top_k_is_held_against_all_pairs_at_every_length():
    text = summarise(made_up())
    for length, right, of_all in ((32, "97.0%", "100.0%"), (64, "80.0%", "98.0%")):
        (line,) = [line for line in text.splitlines() if f"right verdicts at {length}" in line]
        assert f"give {right} (" in line
        assert f"all pairs give {of_all} (" in line


def test_window_is_told_by_what_it_reaches():
    assert (
        "The local window is right in 99.0% (94.6% to 99.8%) of the claims whose fact it covers, "
        "and in 50.0% (40.4% to 59.6%) where it is one window further and 52.5% (41.7% to 63.1%) "
        "where it is out of reach."
    ) in summarise(made_up())


def test_relays_are_told_before_and_after_training_on():
    adapted = [*BASIC, ("local", 64, True, REACHED, 100, 90)]
    before = "With the weights of the dense model, no pattern is better than a guess where a fact"
    after = "After training on with it, facts that come by way of other tokens are used by: local "
    text = summarise(made_up(adapted, adaptation_steps=3))
    assert before in text
    assert f"{after}window (90.0% (82.6% to 94.5%))." in text
    assert "After training on" not in summarise(made_up(adapted))
    relaying = [("local", 64, False, REACHED, 100, 90), *BASIC[:5]]
    assert "With the weights of the dense model, facts that come by way of other tokens are" in (
        summarise(made_up(relaying))
    )


def test_change_from_beyond_is_denounced():
    assert "changes no verdict by a single bit" in summarise(made_up())
    text = summarise(made_up(change=0.25))
    assert "**Replacing the tokens out of reach changes a verdict's logits by up to 0.25**" in text
    assert "single bit" not in text
