"""Results are short in a line and tables in a notebook."""

import re

import pytest
import torch

import sparse_transformers as st
from sparse_transformers.utils.html_tables import html_table


def cells(html):
    return re.findall(r"<td>(.*?)</td>", html)


def test_a_table_holds_every_cell_as_text():
    html = html_table([{"a<b": 1_234_567, "x": 0.123456}, {"a<b": "<i>", "x": True}], caption="c&d")
    assert cells(html) == ["1,234,567", "0.1235", "&lt;i&gt;", "True"]
    assert "<th>a&lt;b</th>" in html
    assert "<caption>c&amp;d</caption>" in html
    assert cells(html_table([])) == []


def layer_statistics():
    layer = st.MoELayer(16, num_experts=4)
    statistics = st.RoutingStatistics()
    statistics.update({"block": layer(torch.randn(2, 8, 16))})
    return statistics


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: st.attention_cost(st.LocalWindow(4), 100, 1, 8), "allowed pairs"),
        (lambda: st.find_future_leak(lambda ids: ids[..., None] * 1.0, torch.arange(4)[None]), "3"),
        (layer_statistics, "block"),
        (lambda: st.ExpertRouterDemo(16, 4, steps=1).demonstrate_routing(3), "3 statements"),
    ],
)
def test_results_are_tables_in_a_notebook_and_short_in_a_line(make, found):
    result = make()
    html = result._repr_html_()
    assert found in html
    assert html.startswith("<table>")
    if not isinstance(result, st.AttentionCost):  # whose counts are what it is
        assert len(repr(result)) < 200


def test_demos_say_how_they_were_made():
    demo = st.ExpertRouterDemo(16, 4, steps=1)
    assert repr(demo) == "ExpertRouterDemo(input_dim=16, num_experts=4, top_k=2, steps=1, seed=0)"
    assert repr(st.RoutingStatistics()) == "RoutingStatistics(nothing yet)"


def test_a_run_is_a_table_of_its_validations():
    corpus = st.ByteCorpus(b"to be or not to be, " * 100)
    model = st.SparseTransformer(st.SparseTransformerConfig(d_model=16, n_heads=2, n_layers=1))
    config = st.TrainingConfig(steps=2, eval_every=1, progress=False, device="cpu")
    result = st.Trainer(model, st.NextByteTask(corpus, seq_len=16), config).train()
    assert cells(result._repr_html_())[::3] == ["0", "1", "2"]
