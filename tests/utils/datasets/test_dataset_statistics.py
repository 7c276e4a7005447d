"""Statistics of tables whose content is known."""

import json

import pandas as pd
import pytest

from sparse_transformers.utils.dataset_synthesis import SYNTHESIZERS
from sparse_transformers.utils.datasets.dataset_statistics import (
    DatasetStatistics,
    LengthStatistics,
    get_dataset_statistics,
    text_columns,
)
from sparse_transformers.utils.records import from_json, to_json

TABLE = pd.DataFrame(
    {
        "text": ["a", "abc", "", None],
        "label": ["false", "true", "true", "true"],
        "count": [1.0, None, 3.0, 4.0],
        "answers": [["x"], ["y", "z"], [], ["x"]],
    }
)


def test_small_table_is_described_as_by_hand():
    found = get_dataset_statistics(TABLE)
    assert found.total_samples == 4
    assert found.columns == ("text", "label", "count", "answers")
    assert found.missing_values == {"text": 2, "label": 0, "count": 1, "answers": 0}
    assert found.data_types["count"] == "float64"
    assert list(found.label_distribution.items()) == [("true", 3), ("false", 1)]
    assert found.text_lengths == {
        "text": LengthStatistics(
            mean=pytest.approx(4 / 3), median=1, std=pytest.approx((7 / 3) ** 0.5), min=0, max=3
        ),
        "label": LengthStatistics(mean=4.25, median=4, std=0.5, min=4, max=5),
    }


def test_columns_of_text_are_those_without_anything_else():
    table = TABLE.assign(
        mixed=["a", 1, "b", "c"], empty=None, category=pd.Categorical(["a", "b", "a", "b"])
    )
    assert text_columns(table) == ["text", "label"]


def test_table_without_rows_or_labels_has_no_lengths():
    found = get_dataset_statistics(TABLE[["text", "count"]].iloc[:0])
    assert (found.total_samples, found.label_distribution, found.text_lengths) == (0, {}, {})


def test_single_text_has_no_spread():
    assert get_dataset_statistics(TABLE.iloc[:1]).text_lengths["text"].std == 0


@pytest.mark.parametrize("name", SYNTHESIZERS)
def test_statistics_survive_json(name):
    found = get_dataset_statistics(SYNTHESIZERS[name](50).table)
    assert sum(found.label_distribution.values()) == 50
    assert from_json(DatasetStatistics, json.loads(json.dumps(to_json(found)))) == found
