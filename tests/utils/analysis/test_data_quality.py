"""Every flaw that is planted lowers its own term of the score by its own share."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_transformers.utils.analysis.data_quality import (
    detect_data_quality_issues,
    normalize_text,
)

ROWS = 40


def clean() -> pd.DataFrame:
    places = ["north", "south", "east", "west"]
    return pd.DataFrame(
        {
            "row_id": range(ROWS),
            "claim": [f"Claim {n} comes from the {places[n % 4]}." for n in range(ROWS)],
            "label": [["true", "false"][n % 2] for n in range(ROWS)],
            "party": [places[n % 3] for n in range(ROWS)],
        }
    )


def quality_of(table: pd.DataFrame):
    return detect_data_quality_issues(table, ["claim"], label_column="label", ignore=["row_id"])


def lowered(table: pd.DataFrame) -> dict[str, float]:
    """The terms of the score that are below 1, by how much."""
    quality = quality_of(table)
    terms = quality.score_terms
    assert quality.overall_quality_score == pytest.approx(100 * np.mean(list(terms.values())))
    return {name: 1 - share for name, share in terms.items() if share < 1}


def test_clean_table_scores_a_hundred():
    quality = quality_of(clean())
    assert quality.overall_quality_score == 100
    assert quality.missing_data.total_missing_values == 0
    assert quality.missing_data.percentage_complete == 100
    assert quality.duplicates.duplicate_rows == 0


@given(st.lists(st.integers(0, ROWS - 1), unique=True), st.sampled_from(["", " ", None, np.nan]))
def test_missing_cells_are_counted_and_lower_one_term(rows, nothing):
    table = clean().astype({"party": object})
    table.loc[rows, "party"] = nothing
    missing = quality_of(table).missing_data
    assert missing.columns_with_missing == ({"party": len(rows)} if rows else {})
    assert missing.rows_with_missing == missing.total_missing_values == len(rows)
    expected = {"filled_cells": pytest.approx(len(rows) / (4 * ROWS))} if rows else {}
    assert lowered(table) == expected


def test_repeats_are_told_apart_from_near_repeats():
    table = clean()
    first = table["claim"][0]
    table.loc[4, "claim"] = first  # the label and party of row 4 differ from those of row 0
    table.loc[6, ["claim", "label", "party"]] = table.loc[0, ["claim", "label", "party"]]
    table.loc[8, "claim"] = f" {first.upper().replace('.', ' !')}"
    duplicates = quality_of(table).duplicates
    assert (duplicates.duplicate_rows, duplicates.duplicate_percentage) == (1, 100 / ROWS)
    assert (duplicates.repeated_texts, duplicates.repeated_normalized_texts) == (2, 3)
    assert lowered(table) == {"new_rows": pytest.approx(3 / ROWS)}


def test_contradictions_are_one_text_with_two_labels():
    table = clean()
    table.loc[1, "claim"] = table["claim"][0].upper()
    inconsistencies = quality_of(table).inconsistencies
    assert (inconsistencies.label_inconsistencies, inconsistencies.contradictory_rows) == (1, 2)
    assert lowered(table)["agreeing_rows"] == pytest.approx(2 / ROWS)
    without = detect_data_quality_issues(table, ["claim"])
    assert without.inconsistencies.contradictory_rows == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "empty_or_very_short"),
        ("so long " + "words and more words with even more of them " * 10, "extremely_long"),
        ("a # $ % & b ; -", "high_special_char_ratio"),
        ("Nooooo way is this true", "potential_spam"),
        ("buy buy buy, buy this", "potential_spam"),
    ],
)
def test_odd_texts_are_counted_by_their_oddity(text, problem):
    table = clean()
    table.loc[3, "claim"] = text
    odd = vars(quality_of(table).text_quality["claim"])
    assert {name: count for name, count in odd.items() if count} == {problem: 1}
    assert lowered(table) == {"sound_texts": pytest.approx(1 / ROWS)}


def test_several_texts_of_a_row_repeat_only_together():
    table = pd.DataFrame({"question": ["Why?"] * 3, "answer": ["So.", "Thus.", "So!"]})
    duplicates = detect_data_quality_issues(table, ["question", "answer"]).duplicates
    assert (duplicates.repeated_texts, duplicates.repeated_normalized_texts) == (0, 1)


def test_without_texts_whole_rows_repeat():
    table = pd.DataFrame({"id": [1, 2, 3], "a": ["x", "x", "y"]})
    quality = detect_data_quality_issues(table, [], ignore=["id"])
    assert quality.duplicates.duplicate_rows == 1
    assert quality.score_terms["new_rows"] == pytest.approx(2 / 3)
    assert detect_data_quality_issues(table[["id"]], [], ignore=["id"]).score_terms["new_rows"] == 1


def test_normalized_text_ignores_form_alone():
    assert normalize_text("  Ｔhe  “Café”, 3.5%! ") == normalize_text("the café 3 5")
    assert normalize_text("cafe") != normalize_text("café")


def test_malformed_input_is_refused():
    with pytest.raises(ValueError, match="got no rows"):
        detect_data_quality_issues(pd.DataFrame({"claim": []}), ["claim"])
    with pytest.raises(ValueError, match="got no column text, verdict"):
        detect_data_quality_issues(clean(), ["text"], label_column="verdict")
    with pytest.raises(ValueError, match="texts must be strings"):
        detect_data_quality_issues(clean(), ["row_id"])
