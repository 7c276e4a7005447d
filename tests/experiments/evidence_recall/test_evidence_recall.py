import dataclasses
import json
import math

import matplotlib.pyplot as plt
import pytest
import torch
from example_patterns import SINGLE_PATTERNS
from visits import visit

from sparse_transformers.experiments.evidence_recall.figures import (
    draw_reach,
    draw_recall,
    plot_accuracy,
    plot_prediction,
    predicted_accuracy,
)
from sparse_transformers.experiments.evidence_recall.measure import (
    REACHED,
    SEEN,
    UNREACHED,
    EvidenceRecall,
    EvidenceRecallSettings,
    Verdicts,
    accuracy,
    change_from_beyond,
    measure_evidence_recall,
    tokens_in_reach,
)
from sparse_transformers.experiments.evidence_recall.model import (
    Curriculum,
    new_model,
    train_on_documents,
    verdict_logits_of,
    with_attention,
)
from sparse_transformers.experiments.evidence_recall.patterns import (
    ALWAYS_SEEN,
    ATTENTIONS,
    evidence_attention,
)
from sparse_transformers.experiments.evidence_recall.report import (
    describe_reach,
    describe_recall,
    findings,
    highlight,
)
from sparse_transformers.models.attention_patterns import Causal, LocalWindow
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.utils.datasets.evidence_documents import VOCABULARY, make_documents
from sparse_transformers.utils.records import from_json, to_json

# Long enough to learn the verdict in short documents, and for windows to fail in longer ones.
SMALL = EvidenceRecallSettings(
    curriculum=Curriculum(lengths=(16, 32), tokens_per_step=1024, polish_steps=30),
    lengths=(32, 64),
    keys_per_query=8,
    n_documents=12,
    adaptation_steps=2,
    adaptation_length=32,
)


@pytest.fixture(scope="module")
def recall() -> EvidenceRecall:
    return measure_evidence_recall(visit(SMALL, seed=0))


def documents(seq_len=64, n_documents=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return make_documents(n_documents, seq_len, n_facts=20, n_claims=10, generator=generator)


def influence(model, positions, seq_len):
    """Which tokens the hidden states at some positions depend on, by their gradients."""
    embedded = {}

    def keep(module, arguments, output):
        embedded["tokens"] = output.detach().requires_grad_()
        return embedded["tokens"]

    with torch.enable_grad():
        handle = model.embedding.register_forward_hook(keep)
        ids = torch.arange(seq_len)[None] % len(VOCABULARY)
        hidden = model.double().hidden_states(ids)
        handle.remove()
        rows = [
            torch.autograd.grad(hidden[0, place, 0], embedded["tokens"], retain_graph=True)[0]
            for place in positions
        ]
    return torch.stack([row[0].abs().sum(-1) > 0 for row in rows])


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_tokens_in_reach_are_those_with_a_gradient(name, n_layers):
    attention = evidence_attention(name, 40, 4)
    config = dataclasses.replace(new_model(0).config, n_layers=n_layers)
    changes = attention.model_changes() | {
        "attention": (attention.attention,) * n_layers,
        "selector": None,
    }
    model = SparseTransformer(dataclasses.replace(config, **changes))
    positions = torch.tensor([0, 17, 39])
    expected = influence(model, positions, 40)
    assert torch.equal(tokens_in_reach(attention.rule(), positions, 40, n_layers), expected)


def test_reach_contains_that_of_the_pattern_alone():
    for pattern in SINGLE_PATTERNS:
        rule = pattern & Causal()
        reached = tokens_in_reach(rule, torch.arange(30), 30, 2)
        assert (reached | ~rule.reach(30, 2)).all()
        assert not reached.triu(1).any()


@pytest.mark.parametrize("name", sorted(set(ATTENTIONS) - set(ALWAYS_SEEN)))
def test_sparse_attentions_attend_to_equally_many_pairs(name):
    budget = LocalWindow(64).__and__(Causal()).allowed_pairs(1072)
    attention = evidence_attention(name, 1072, 64)
    assert attention.pairs == attention.rule().allowed_pairs(1072)
    # Blocks come in whole sixteens.
    assert abs(attention.pairs / budget - 1) < 0.08


def test_top_k_attends_to_its_number_of_keys():
    attention = evidence_attention("top_k", 200, 16)
    assert attention.pairs == sum(min(query + 1, 16) for query in range(200))
    assert attention.model_changes()["selector"] == {"name": "top_k", "top_k": 16}


def test_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="unknown attention 'flash'; known are dense, top_k"):
        evidence_attention("flash", 100, 10)


def test_no_verdict_changes_with_tokens_out_of_reach_and_a_wrong_rule_is_noticed():
    attention = evidence_attention("local", 94, 8)
    model = with_attention(new_model(0), **attention.model_changes())
    assert change_from_beyond(model, attention.rule(), documents()) == 0
    narrower = LocalWindow(7) & Causal()
    assert change_from_beyond(model, narrower, documents()) > 0


def test_copies_with_other_attention_keep_the_weights():
    dense = new_model(0)
    everything = with_attention(dense, selector={"name": "top_k", "top_k": 999})
    expected = verdict_logits_of(dense.eval(), documents())
    torch.testing.assert_close(verdict_logits_of(everything, documents()), expected)


def test_dense_model_and_top_k_learn_to_find_the_fact(recall):
    assert all(stage.finished for stage in recall.models[0].stages)
    rows = recall.frame().query("seq_len == 32 and not adapted")
    for name in ALWAYS_SEEN:
        assert accuracy(rows[rows.attention == name]).estimate > 0.95


def test_window_finds_what_it_sees_and_guesses_the_rest(recall):
    rows = recall.frame().query("attention == 'local' and not adapted")
    local = {reach: accuracy(of_reach) for reach, of_reach in rows.groupby("reach")}
    assert local[SEEN].estimate > 0.9
    assert local[UNREACHED].low < 0.5 < local[UNREACHED].high
    assert recall.most_change_from_beyond == 0


def test_untrained_model_guesses():
    settings = dataclasses.replace(
        SMALL, curriculum=Curriculum(lengths=(16,), most_steps=1), adaptation_steps=0
    )
    untrained = measure_evidence_recall(visit(settings, seed=1))
    share = accuracy(untrained.frame().query("attention == 'dense'"))
    assert share.low < 0.5 < share.high
    assert not untrained.models[0].stages[0].finished


def test_every_claim_is_counted_once(recall):
    counts = recall.frame().groupby(["attention", "adapted", "seq_len"]).n_claims.sum()
    assert (counts == 12 * 16).all()
    assert set(counts.index) == {
        (name, adapted, seq_len)
        for name in ATTENTIONS
        for adapted in ((False,) if name in ALWAYS_SEEN else (False, True))
        for seq_len in SMALL.lengths
    }


def test_same_seed_same_verdicts():
    quick = dataclasses.replace(
        SMALL, curriculum=Curriculum(lengths=(16,), most_steps=3), adaptation_steps=0, lengths=(64,)
    )
    first, again = (measure_evidence_recall(visit(quick, seed=5)).verdicts for _ in range(2))
    assert first == again
    assert first != measure_evidence_recall(visit(quick, seed=6)).verdicts


def test_curriculum_goes_on_when_it_is_good_enough():
    stages, seconds = train_on_documents(
        new_model(0),
        Curriculum(
            lengths=(16, 32),
            tokens_per_step=64,
            good_enough_nats=math.inf,
            least_steps=3,
            polish_steps=4,
        ),
        seed=0,
    )
    assert [stage.steps for stage in stages] == [3, 7]
    assert seconds > 0


def test_results_survive_json_and_become_figures_and_words(recall):
    again = from_json(EvidenceRecall, json.loads(json.dumps(to_json(recall))))
    assert again == recall
    for draw in (draw_recall, draw_reach):
        figure = draw(again)
        assert len(figure.axes) >= 2
        plt.close(figure)
    assert recall.example in describe_recall(again)
    assert "changes no verdict by a single bit" in describe_reach(again)


def made_up(verdicts, change=0.0, adaptation_steps=0):
    """A result with these verdicts: (attention, adapted, reach, distance, n_claims, n_right)."""
    settings = dataclasses.replace(SMALL, lengths=(64,), adaptation_steps=adaptation_steps)
    return EvidenceRecall(
        settings=settings,
        models=(),
        attentions=tuple(
            evidence_attention(name, 64, 16) for name in dict.fromkeys(v[0] for v in verdicts)
        ),
        verdicts=tuple(
            Verdicts(attention, 64, 0, adapted, reach, distance, n_claims, n_right)
            for attention, adapted, reach, distance, n_claims, n_right in verdicts
        ),
        most_change_from_beyond=change,
        example="",
    )


BASIC = [
    ("dense", False, SEEN, 64, 100, 100),
    ("top_k", False, SEEN, 64, 100, 97),
    ("local", False, SEEN, 8, 100, 99),
    ("local", False, REACHED, 16, 100, 50),
    ("local", False, UNREACHED, 64, 100, 52),
]


def test_report_says_what_the_numbers_say():
    top_k, window = findings(made_up(BASIC))
    assert "97.0% [91.5%, 99.0%] right verdicts at 64 tokens; all pairs give 100.0%" in top_k
    assert "right in 99.0% [94.6%, 99.8%] where it covers the fact, 50.0%" in window
    assert "and 52.0% [42.3%, 61.5%] out of reach." in window
    assert "other tokens are used beyond a guess by: none." in describe_reach(made_up(BASIC))


def test_report_tells_of_relays_and_of_leaks():
    relaying = [*BASIC, ("local", True, REACHED, 16, 100, 90)]
    text = describe_reach(made_up(relaying, change=0.25, adaptation_steps=3))
    assert "other tokens are used beyond a guess by: local window (90.0%" in text
    assert "changes a verdict's logits by up to 0.25" in text


def test_report_tells_when_training_on_made_it_worse():
    worse = [*BASIC, ("local", True, SEEN, 8, 100, 70)]
    text = describe_reach(made_up(worse, adaptation_steps=3))
    assert "seen in one layer: local window (from 99.0% to 70.0%)" in text
    alike = [*BASIC, ("local", True, SEEN, 8, 100, 98)]
    assert "made verdicts worse" not in describe_reach(made_up(alike, adaptation_steps=3))


def test_highlight_sets_top_k_beside_the_window():
    shown = highlight(made_up(BASIC))
    assert shown.found == "exact top-k: 97.0% [91.5%, 99.0%] right"
    assert shown.beside.startswith("a window of as many keys: 67.0% [")


def test_prediction_counts_unseen_facts_as_guesses():
    local = made_up(BASIC).frame().query("attention == 'local'")
    assert predicted_accuracy(local) == pytest.approx((100 + 50 + 50) / 300)


def test_figures_draw_the_shares():
    rows = made_up(BASIC).frame()
    _, ax = plt.subplots()
    plot_accuracy(rows[rows.attention == "top_k"], title="", ax=ax)
    assert 0.97 in ax.get_lines()[0].get_ydata()
    _, ax = plt.subplots()
    plot_prediction(rows, ax=ax)
    of_local = next(line for line in ax.get_lines() if len(line.get_xdata()) == 3)
    assert sorted(zip(of_local.get_xdata(), of_local.get_ydata(), strict=True)) == [
        (0.5, 0.5),
        (0.5, 0.52),
        (1.0, 0.99),
    ]


def test_every_attention_has_a_panel_of_its_own():
    figure = draw_recall(made_up(BASIC))
    assert "64 tokens: exact top-k is right in 97%, the window in 67%" in figure.get_suptitle()
    drawn = [ax for ax in figure.axes if ax.containers]
    assert len(drawn) == made_up(BASIC).frame().attention.nunique()
    assert all(len(ax.containers) == 1 for ax in drawn)
    assert "exact top-k: 97%" in [ax.get_title() for ax in drawn]


def test_bars_show_the_shares_by_reach():
    _, bars, _ = draw_reach(
        made_up([*BASIC, ("local", True, SEEN, 8, 100, 70)], adaptation_steps=3)
    ).axes
    assert [text.get_text() for text in bars.texts].count("0.70") == 1
    assert bars.get_title() == "after training on: seen facts,\n70% to 70% right"
