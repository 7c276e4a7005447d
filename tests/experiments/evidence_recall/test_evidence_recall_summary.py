"""The short form of the evidence experiment says what the numbers say."""

import re

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
from sparse_transformers.experiments.evidence_recall.patterns import evidence_attention
from sparse_transformers.experiments.evidence_recall.report import (
    describe_reach,
    describe_recall,
    findings,
)

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
    """A result with these verdicts: (attention, length, adapted, reach, n_claims, n_right)."""
    names = dict.fromkeys(each[0] for each in verdicts)
    return EvidenceRecall(
        settings=EvidenceRecallSettings(
            lengths=(32, 64), keys_per_query=16, adaptation_steps=adaptation_steps, n_seeds=n_seeds
        ),
        models=tuple(TrainedModel(seed, (), 1.0) for seed in range(n_seeds)),
        attentions=tuple(
            evidence_attention(name, length, 16) for length in (32, 64) for name in names
        ),
        verdicts=tuple(
            Verdicts(attention, length, 0, adapted, reach, 8, n_claims, n_right)
            for attention, length, adapted, reach, n_claims, n_right in verdicts
        ),
        most_change_from_beyond=change,
        example="",
    )


def test_table_is_of_the_longest_documents():
    rows = [line for line in describe_reach(made_up()).splitlines() if line.startswith("| ")]
    headers, _, dense, top_k, local, strided = (row.strip("| ").split(" | ") for row in rows)
    assert headers[2:] == [
        "fact seen in one layer",
        "only by way of other tokens",
        "out of reach",
    ]
    assert dense == ["dense", "100%", "98.0% [93.0%, 99.4%]", "–", "–"]
    # A window of 16 in 64 tokens: 16 * 64 - 16 * 15 / 2 = 904 of 2,080 pairs.
    assert local == [
        "local window",
        "43%",
        "99.0% [94.6%, 99.8%]",
        "50.0% [40.4%, 59.6%]",
        "52.5% [41.7%, 63.1%]",
    ]
    assert top_k[1] == "43%"
    assert strided[2].startswith("90.0%")


@pytest.mark.parametrize(("n_seeds", "said"), [(1, "(1 seed)"), (3, "(3 seeds)")])
def test_heading_counts_tokens_and_seeds(n_seeds, said):
    text = describe_reach(made_up(n_seeds=n_seeds))
    assert f"Right verdicts at 64 tokens {said}, by what the rule" in text


def test_top_k_is_held_against_all_pairs_at_the_greatest_length():
    top_k, _ = findings(made_up())
    assert "exact top-k gives 80.0% [71.1%, 86.7%] right verdicts at 64 tokens" in top_k
    assert "all pairs give 98.0% [" in top_k
    table = describe_recall(made_up(BASIC[:4]))
    assert re.search(r"\| exact top-k .* \| 97\.0% \| 80\.0% \|", table)
    assert re.search(r"\| dense .* \| 100\.0% \| 98\.0% \|", table)


def test_window_is_told_by_what_it_reaches():
    assert findings(made_up())[1] == (
        "The local window is right in 99.0% [94.6%, 99.8%] where it covers the fact, "
        "50.0% [40.4%, 59.6%] one window further and 52.5% [41.7%, 63.1%] out of reach."
    )


def test_relays_are_told_before_and_after_training_on():
    adapted = [*BASIC, ("local", 64, True, REACHED, 100, 90)]
    used = "facts that come by way of other tokens are used beyond a guess by:"
    text = describe_reach(made_up(adapted, adaptation_steps=3))
    assert f"With the dense model's weights, {used} none." in text
    assert (
        f"After training on with the pattern, {used} local window (90.0% [82.6%, 94.5%])." in text
    )
    assert "After training on" not in describe_reach(made_up(adapted))
    relaying = [("local", 64, False, REACHED, 100, 90), *BASIC[:5]]
    assert f"With the dense model's weights, {used} local window" in describe_reach(
        made_up(relaying)
    )


def test_change_from_beyond_is_denounced():
    assert "changes no verdict by a single bit" in describe_reach(made_up())
    text = describe_reach(made_up(change=0.25))
    assert "**Replacing the tokens out of reach changes a verdict's logits by up to 0.25**" in text
    assert "single bit" not in text
