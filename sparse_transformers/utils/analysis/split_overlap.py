"""What training and evaluation rows have in common that they should not."""

from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from sparse_transformers.utils.analysis.data_quality import join_texts, normalize_text
from sparse_transformers.utils.analysis.dataset_columns import DatasetColumns
from sparse_transformers.utils.analysis.text_statistics import clean_texts
from sparse_transformers.utils.analysis.vocabulary import split_words

USUAL_ORDER = ("train", "valid", "validation", "dev", "test")


@dataclass(frozen=True)
class SplitPair:
    """How much of one split a model has seen after training on another.

    Attributes:
        seen: name of the split that is trained on.
        held_out: name of the split that is evaluated on.
        held_out_rows: its rows.
        shared_texts: different texts that are in both, letter by letter.
        shared_normalized_texts: the same, with capitals, blanks and punctuation ignored.
        rows_with_shared_text: held-out rows with a normalized text that is in both.
        shared_groups: speakers (or other groups) that are in both; None without groups.
        rows_with_shared_group: held-out rows of such groups; None without groups.
        unseen_word_share: of the running words held out, the share that the other split never
            uses; None without words.
    """

    seen: str
    held_out: str
    held_out_rows: int
    shared_texts: int
    shared_normalized_texts: int
    rows_with_shared_text: int
    shared_groups: int | None
    rows_with_shared_group: int | None
    unseen_word_share: float | None


def measure_split_overlap(table: pd.DataFrame, columns: DatasetColumns) -> tuple[SplitPair, ...]:
    """Compare every split with those before it; empty if the table has fewer than two.

    The order is train, valid, test; splits of other names come after, as they appear.
    """
    if columns.split is None or not columns.texts:
        return ()
    split = table[columns.split].map(str)
    names = list(dict.fromkeys(split))
    names.sort(key=lambda name: USUAL_ORDER.index(name) if name in USUAL_ORDER else len(names) + 9)
    texts = join_texts(
        pd.Series(clean_texts(table[name]), index=table.index) for name in columns.texts
    )
    groups = None if columns.group is None else table[columns.group]
    normalized = texts.map(normalize_text)
    words = texts.map(split_words)

    def compare(seen: str, held_out: str) -> SplitPair:
        before, after = split == seen, split == held_out
        known_texts = set(normalized[before]) & set(normalized[after])
        shared_groups = rows_with_shared_group = None
        if groups is not None:
            known_groups = set(groups[before].dropna()) & set(groups[after].dropna())
            shared_groups = len(known_groups)
            rows_with_shared_group = int(groups[after].isin(known_groups).sum())
        vocabulary = {word for row in words[before] for word in row}
        unseen = [word not in vocabulary for row in words[after] for word in row]
        return SplitPair(
            seen=seen,
            held_out=held_out,
            held_out_rows=int(after.sum()),
            shared_texts=len(set(texts[before]) & set(texts[after])),
            shared_normalized_texts=len(known_texts),
            rows_with_shared_text=int(normalized[after].isin(known_texts).sum()),
            shared_groups=shared_groups,
            rows_with_shared_group=rows_with_shared_group,
            unseen_word_share=sum(unseen) / len(unseen) if unseen else None,
        )

    return tuple(compare(seen, held_out) for seen, held_out in combinations(names, 2))
