"""A planted leak is found; honest counts are not called one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.analysis.dataset_bias import bias_features, measure_associations
from sparse_transformers.utils.analysis.dataset_columns import find_columns
from sparse_transformers.utils.analysis.label_leak import find_label_leak, read_named_counts
from sparse_transformers.utils.analysis.label_probes import probe_labels
from sparse_transformers.utils.dataset_synthesis import generate_liar_sample
from sparse_transformers.utils.metrics.significance import Interval

LABELS = ["false", "mostly-true", "pants-fire"]


def examine(table: pd.DataFrame):
    columns = find_columns(table)
    found = measure_associations(table["label"], bias_features(table, columns))
    return find_label_leak(table, columns, found, probe_labels(table, columns, n_shuffles=1))


def histories(include_own_row: bool, rows: int = 600) -> pd.DataFrame:
    """Labels by speakers who lean to one of them, with counts of their (earlier) labels."""
    rng = np.random.default_rng(4)
    speakers = rng.integers(rows // 3, size=rows)
    lean = rng.integers(3, size=rows)[speakers]
    level = np.where(rng.random(rows) < 0.4, lean, rng.integers(3, size=rows))
    table = pd.DataFrame({"speaker": speakers.astype(str), "label": np.array(LABELS)[level]})
    for label in LABELS:
        is_label = (table["label"] == label).astype(int)
        by_speaker = is_label.groupby(table["speaker"])
        counts = by_speaker.transform("sum") if include_own_row else by_speaker.cumsum() - is_label
        table[f"{label.replace('-', '_')}_count"] = counts
    return table


def test_counts_that_include_their_row_are_a_leak():
    leak = examine(histories(include_own_row=True))
    assert leak.named_counts.include_own_row
    assert leak.numbers_win
    assert leak.found


def test_counts_of_earlier_rows_are_not_a_leak():
    leak = examine(histories(include_own_row=False))
    assert leak.named_counts.single_rows > 50
    # They do tell something, honestly: speakers lean.
    assert leak.named_counts.single_hit_share > leak.named_counts.single_chance_share
    assert not leak.named_counts.include_own_row
    assert not leak.found


def test_synthetic_claims_leak_only_through_their_history():
    clean = examine(generate_liar_sample(600, seed=0))
    assert not clean.found
    assert clean.named_counts is None
    leaky = examine(generate_liar_sample(600, seed=0, leaky_history=True))
    assert leaky.numbers_win
    assert leaky.named_counts.include_own_row


def test_named_counts_are_those_of_a_loop():
    table = histories(include_own_row=True, rows=200)
    found = read_named_counts(table, find_columns(table))
    assert found.columns == {
        "false": "false_count",
        "mostly-true": "mostly_true_count",
        "pants-fire": "pants_fire_count",
    }
    largest, single = [], []
    for row in table.to_dict("records"):
        counts = {label: row[column] for label, column in found.columns.items()}
        best = [label for label, count in counts.items() if count == max(counts.values())]
        if len(best) == 1:
            largest.append((best[0], row["label"]))
            if sum(counts.values()) == 1:
                single.append((best[0], row["label"]))
    for pairs, rows, hit_share, chance in (
        (largest, found.rows, found.hit_share, found.chance_share),
        (single, found.single_rows, found.single_hit_share, found.single_chance_share),
    ):
        assert rows == len(pairs)
        assert hit_share == pytest.approx(np.mean([name == label for name, label in pairs]))
        crossed = [name == label for name, _ in pairs for _, label in pairs]
        assert chance == pytest.approx(np.mean(crossed))


def test_counts_of_something_else_are_not_named_counts():
    table = histories(include_own_row=True).rename(columns=lambda name: name.replace("_count", "x"))
    assert read_named_counts(table, find_columns(table)) is None


def test_one_count_or_only_ties_are_not_enough():
    table = histories(include_own_row=True)
    one = table.drop(columns=["false_count", "pants_fire_count"])
    assert read_named_counts(one, find_columns(one)) is None
    columns = find_columns(table)
    ties = table.assign(false_count=1, mostly_true_count=1, pants_fire_count=1)
    assert read_named_counts(ties, columns) is None
    few = read_named_counts(table.assign(false_count=table["false_count"] + 5), columns)
    assert (few.single_rows, few.single_hit_share, few.include_own_row) == (0, None, False)


def test_column_from_which_the_label_follows_is_a_leak():
    table = generate_liar_sample(400, seed=2)
    table["ruling"] = "ruled " + table["label"].str[:3]
    table["number"] = table["truth_level"] * 1.5
    leak = examine(table)
    assert set(leak.telling_columns) == {"ruling", "number"}
    assert leak.found


def test_numbers_must_win_with_their_whole_interval():
    table = histories(include_own_row=True).drop(columns=["false_count", "mostly_true_count"])
    columns = find_columns(table)
    probes = probe_labels(table, columns, n_shuffles=1)
    for low, wins in ((0.04, False), (0.06, True)):
        advantage = Interval(0.2, low, 0.3)
        found = find_label_leak(table, columns, (), replace(probes, advantage=advantage))
        assert found.numbers_win == found.found == wins
    assert not find_label_leak(table, columns, (), None).found
