"""Probes find what is planted, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.analysis.dataset_columns import find_columns
from sparse_transformers.utils.analysis.label_probes import (
    FORM,
    METADATA,
    NUMBERS,
    TEXT,
    probe_labels,
)
from sparse_transformers.utils.metrics.significance import Interval

ROWS = 240


def noise(seed: int = 0) -> pd.DataFrame:
    """Claims about nothing: the label is independent of all else."""
    rng = np.random.default_rng(seed)
    words = np.array(["sun", "moon", "rain", "wind", "snow", "fog"])
    return pd.DataFrame(
        {
            "claim": [" ".join(rng.choice(words, 6)) for _ in range(ROWS)],
            "party": rng.choice(["left", "right", "middle"], size=ROWS),
            "age": rng.integers(20, 80, size=ROWS),
            "label": rng.choice(["true", "false", "half"], size=ROWS, p=[0.5, 0.3, 0.2]),
        }
    )


def probe(table: pd.DataFrame, **options):
    return probe_labels(table, find_columns(table), **options)


def beating(table: pd.DataFrame) -> set[str]:
    return {
        each.name
        for each in probe(table, n_shuffles=4).probes
        if each.lift.low > 0 and each.accuracy.estimate > each.shuffled_high
    }


@pytest.fixture(scope="module")
def of_noise():
    return probe(noise())


def test_nothing_beats_guessing_where_there_is_nothing(of_noise):
    found = of_noise
    assert [each.name for each in found.probes] == [TEXT, FORM, METADATA, NUMBERS]
    assert not any(each.beats_guessing for each in found.probes)
    assert found.advantage.low <= 0 <= found.advantage.high or found.advantage.high < 0.05
    for each in found.probes:
        assert each.accuracy.low <= each.accuracy.estimate <= each.accuracy.high
        assert each.shuffled_mean <= each.shuffled_high + 1e-9  # the mean is rounded


def test_guessing_is_beaten_only_beyond_both_kinds_of_chance(of_noise):
    def beats(low, p_value):
        lift = Interval(0.1, low, 0.2)
        return replace(of_noise.probes[0], lift=lift, p_value=p_value).beats_guessing

    assert beats(low=0.01, p_value=1 / 21)
    assert not beats(low=0.0, p_value=1 / 21)
    assert not beats(low=0.01, p_value=2 / 21)


def test_planted_signal_is_found_where_it_stands_and_only_there():
    rng = np.random.default_rng(1)
    told = rng.random(ROWS) < 0.4

    def with_hint(column: str, hints: dict[str, object]) -> pd.DataFrame:
        table = noise()
        hinted = table["label"].map(hints)
        table[column] = table[column].where(~told, hinted)
        return table

    assert beating(with_hint("party", {"true": "a", "false": "b", "half": "c"})) == {METADATA}
    assert beating(with_hint("age", {"true": 10, "false": 90, "half": 1000})) == {NUMBERS}
    words = {"true": "sun sun sun sky sun sun", "false": "fog air fog fog fog fog"}
    assert beating(with_hint("claim", {**words, "half": "wet wet wet wet wet wet"})) == {TEXT}
    lengths = {"true": "sun", "false": "sun moon " * 5, "half": "sun moon rain"}
    assert FORM in beating(with_hint("claim", lengths))


def test_majority_and_lift_are_those_of_the_most_common_label(of_noise):
    found = of_noise
    assert found.rows == ROWS
    assert found.majority == noise()["label"].value_counts(normalize=True).max()
    for each in found.probes:
        assert each.lift.estimate == pytest.approx(each.accuracy.estimate - found.majority)


def test_what_holds_for_a_group_alone_is_not_learned():
    rng = np.random.default_rng(2)
    table = noise().assign(speaker=rng.integers(30, size=ROWS).astype(str))
    character = dict(enumerate(rng.choice(["true", "false"], size=30)))
    table["label"] = table["speaker"].map(int).map(character)
    table = table.drop(columns=["claim", "age"])
    by_group = probe(table)
    by_row = probe_labels(table, find_columns(table, group_column=None))
    assert by_group.grouped_by == "speaker"
    assert not by_group.find(METADATA).beats_guessing
    assert by_row.find(METADATA).accuracy.estimate > 0.95
    assert by_row.find(METADATA).beats_guessing


def test_intervals_are_wider_for_rows_that_belong_together():
    table = pd.concat([noise().head(60)] * 5, ignore_index=True)
    table["speaker"] = np.tile(np.arange(60), 5).astype(str)
    without = find_columns(table, group_column=None)
    grouped = probe(table, n_shuffles=1).find(TEXT).accuracy
    alone = probe_labels(table, without, n_shuffles=1).find(TEXT).accuracy
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_numbers_compete_with_the_better_of_text_and_metadata():
    table = noise()
    table["party"] = table["label"].map({"true": "a", "false": "b", "half": "b"})
    table["age"] = table["label"].map({"true": 1, "false": 5, "half": 25})
    found = probe(table, n_shuffles=1)
    assert found.rival == METADATA
    rival = found.find(METADATA).accuracy.estimate
    assert found.advantage.estimate == pytest.approx(found.find(NUMBERS).accuracy.estimate - rival)
    assert found.advantage.low > 0


def test_numbers_alone_compete_with_guessing():
    found = probe(noise()[["age", "label"]], n_shuffles=1)
    assert found.rival == "the most common label"
    assert found.find(TEXT) is None


def test_rare_and_missing_labels_are_left_out():
    table = noise().astype({"label": object})
    table.loc[:8, "label"] = "odd"
    table.loc[9:12, "label"] = [None, np.nan, "", " "]
    assert probe(table, n_shuffles=1).rows == ROWS - 13


def test_seed_decides_everything():
    first, again, other = (probe(noise(), seed=seed, n_shuffles=2) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_too_little_data_cannot_be_probed():
    assert probe(noise().head(40)) is None
    assert probe(noise().assign(label="true")) is None
    assert probe(noise().assign(speaker="ann")) is None


def test_one_group_may_hold_most_rows():
    table = noise().assign(speaker=["ann"] * (ROWS - 20) + [f"s{n}" for n in range(20)])
    table["label"] = ["true", "false"] * ((ROWS - 20) // 2) + ["true"] * 20
    assert probe(table, n_shuffles=1).rows == ROWS


def test_odd_numbers_do_no_harm():
    table = noise().assign(empty=[np.nan, *[1.0, 2.0] * 5, *[np.nan] * (ROWS - 11)])
    table.loc[:10, "label"] = None  # then `empty` has no value left
    table["age"] = table["age"].astype("Int64")
    table.loc[20, "age"] = pd.NA
    table["wide"] = np.where(np.arange(ROWS) % 7 == 0, np.inf, 1.5)
    assert probe(table, n_shuffles=1).find(NUMBERS).columns == ("age", "empty", "wide")


def test_malformed_input_is_refused():
    columns = find_columns(noise())
    with pytest.raises(ValueError, match="n_folds must be at least 2"):
        probe_labels(noise(), columns, n_folds=1)
    with pytest.raises(ValueError, match="columns must name a label"):
        probe(noise().drop(columns="label"))
