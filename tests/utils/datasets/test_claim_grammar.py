"""Sentences and their fillers, on pools small enough to list."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from sparse_transformers.utils.datasets.claim_grammar import (
    cue_words,
    draw_distinct,
    draw_fillers,
    seen_words,
    unseen_words,
    write_sentences,
)

POOLS = {"place": ("Ada", "Bo", "Cy"), "verb": ("cut", "kept")}


def combinations(frame):
    return [tuple(row) for row in frame.itertuples(index=False)]


def test_as_many_draws_as_combinations_are_all_of_them():
    drawn = draw_distinct(6, np.random.default_rng(0), POOLS)
    assert sorted(combinations(drawn)) == sorted(product(*POOLS.values()))


def test_all_combinations_are_equally_probable():
    rng = np.random.default_rng(0)
    firsts = [combinations(draw_distinct(2, rng, POOLS))[0] for _ in range(1200)]
    counts = [firsts.count(each) for each in product(*POOLS.values())]
    assert all(abs(count - 200) < 4 * np.sqrt(1200 * 5 / 36) for count in counts)


def test_more_draws_than_combinations_are_refused():
    with pytest.raises(ValueError, match=r"there are 6 different .* of place, verb, got 7 to draw"):
        draw_distinct(7, np.random.default_rng(0), POOLS)


def test_last_fifth_of_the_fillers_uses_held_out_words_only():
    names = tuple("abcdefgh")
    drawn = draw_fillers(
        10, np.random.default_rng(0), shared={"verb": ("cut", "kept")}, held_out={"name": names}
    )
    assert set(drawn["name"][:8]) <= set(seen_words(names)) == set("abcdef")
    assert set(drawn["name"][8:]) <= set(unseen_words(names)) == set("gh")


def test_sentences_are_filled_and_begin_with_a_capital():
    cues = cue_words({"hedge": ("never", "often")}, np.array([[1], [0]]))
    words = pd.concat([pd.DataFrame({"place": ["Ada", "Bo"]}), cues], axis=1)
    templates = ["they {hedge} saw {place}.", "{place} {hedge} slept."]
    assert write_sentences(templates, words) == ["They often saw Ada.", "Bo never slept."]
