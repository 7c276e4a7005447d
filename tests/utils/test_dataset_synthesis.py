"""Synthetic data sets: the ceiling is exact, no model exceeds it, and nothing leaks around it."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sparse_transformers.utils.dataset_synthesis import (
    SYNTHESIZERS,
    export_dataset_samples,
    generate_liar_sample,
    generate_multifc_sample,
    generate_truthfulqa_sample,
    synthesize_liar,
    synthesize_multifc,
    synthesize_truthfulqa,
)
from sparse_transformers.utils.datasets import synthetic_liar, synthetic_multifc

N = 8000
EASY = 0.9
TEXT = {"liar": "statement", "truthfulqa": "question", "multifc": "claim"}
LOWEST = {"liar": 0.21, "truthfulqa": 0.58, "multifc": 0.30}
every_set = pytest.mark.parametrize("name", SYNTHESIZERS)
sets_of_claims = pytest.mark.parametrize("name", ["liar", "multifc"])


@pytest.fixture(scope="module")
def easy():
    """Large samples of which nine in ten labels can be told."""
    return {name: make(N, seed=3, bayes_accuracy=EASY) for name, make in SYNTHESIZERS.items()}


@pytest.fixture(scope="module")
def usual():
    """Large samples of the default difficulty."""
    return {name: make(N, seed=4) for name, make in SYNTHESIZERS.items()}


def levels(sample):
    return np.array([sample.classes.index(label) for label in sample.table["label"]])


def chance_error(accuracy, n):
    """Four standard errors of an accuracy on n rows: exceeded once in thirty thousand times."""
    return 4 * np.sqrt(accuracy * (1 - accuracy) / n)


def valid_accuracy(model, features, sample):
    """The model's accuracy on the validation rows, and how many they are."""
    train = (sample.table["split"] == "train").to_numpy()
    labels = levels(sample)
    model.fit(features[train], labels[train])
    return model.score(features[~train], labels[~train]), int((~train).sum())


def words_model():
    return make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))


@every_set
def test_requested_accuracy_is_exact(name):
    for accuracy in (LOWEST[name], 0.62, EASY):
        sample = SYNTHESIZERS[name](5, bayes_accuracy=accuracy)
        assert sample.bayes_accuracy == pytest.approx(accuracy, abs=1e-9)


@pytest.mark.parametrize(
    ("make", "default"),
    [(synthesize_liar, 0.35), (synthesize_truthfulqa, 0.7), (synthesize_multifc, 0.45)],
)
def test_default_accuracy_is_documented_one(make, default):
    assert make(5).bayes_accuracy == pytest.approx(default, abs=1e-9)


@every_set
def test_most_probable_class_is_right_as_often_as_promised(easy, usual, name):
    for sample in (easy[name], usual[name]):
        hits = sample.posteriors.argmax(axis=1) == levels(sample)
        error = chance_error(sample.bayes_accuracy, N)
        assert hits.mean() == pytest.approx(sample.bayes_accuracy, abs=error)


@every_set
def test_posteriors_are_calibrated(easy, usual, name):
    for sample in (easy[name], usual[name]):
        truth = np.eye(len(sample.classes))[levels(sample)]
        np.testing.assert_allclose(sample.posteriors.sum(axis=1), 1)
        bins = np.digitize(sample.posteriors, np.linspace(0, 1, 11))
        for each in np.unique(bins):
            expected = sample.posteriors[bins == each]
            spread = np.sqrt((expected * (1 - expected)).sum())
            assert abs(truth[bins == each].sum() - expected.sum()) < 4 * spread


@every_set
def test_without_signal_the_posterior_is_the_prior(name):
    sample = SYNTHESIZERS[name](50, bayes_accuracy=LOWEST[name])
    np.testing.assert_allclose(sample.posteriors, np.tile(sample.signal.prior, (50, 1)))


@sets_of_claims
def test_posterior_is_that_of_the_cues_that_stand_in_the_text(easy, name):
    sample = easy[name]
    cues = {"liar": synthetic_liar, "multifc": synthetic_multifc}[name].CUES
    texts = " " + sample.table[TEXT[name]].str.lower()
    found = []
    for options in cues.values():
        present = np.array([texts.str.contains(f" {option}", regex=False) for option in options])
        assert (present.sum(axis=0) == 1).all()
        found.append(present.argmax(axis=0))
    np.testing.assert_allclose(sample.posteriors, sample.signal.posteriors(np.transpose(found)))


@sets_of_claims
def test_words_reach_the_ceiling_when_it_is_high_and_never_exceed_it(easy, name):
    sample = easy[name]
    accuracy, n = valid_accuracy(words_model(), sample.table[TEXT[name]], sample)
    assert sample.bayes_accuracy - 0.04 < accuracy < EASY + chance_error(EASY, n)


@sets_of_claims
def test_words_do_not_exceed_a_low_ceiling(usual, name):
    sample = usual[name]
    accuracy, n = valid_accuracy(words_model(), sample.table[TEXT[name]], sample)
    ceiling = sample.bayes_accuracy
    assert ceiling - 0.05 < accuracy < ceiling + chance_error(ceiling, n)


@sets_of_claims
def test_shuffled_labels_cannot_be_learned(easy, name):
    sample = easy[name]
    shuffled = sample.table["label"].sample(frac=1, random_state=0).to_numpy()
    permuted = type(sample)(
        sample.table.assign(label=shuffled), sample.posteriors, sample.classes, EASY, sample.signal
    )
    accuracy, n = valid_accuracy(words_model(), sample.table[TEXT[name]], permuted)
    assert accuracy < LOWEST[name] + chance_error(LOWEST[name], n)


@sets_of_claims
def test_options_of_a_cue_are_equal_in_words_and_characters_and_share_no_word_with_fillers(name):
    module = {"liar": synthetic_liar, "multifc": synthetic_multifc}[name]
    table = SYNTHESIZERS[name](1500).table
    texts = table[TEXT[name]].str.lower()
    for options in module.CUES.values():
        assert len({len(option) for option in options}) == 1
        assert len({len(option.split()) for option in options}) == 1
        for option in options:
            # Some word of it occurs where the option does and nowhere else.
            holds = texts.str.contains(rf"\b{option}\b")
            words = option.split()
            assert any((texts.str.contains(rf"\b{word}\b") == holds).all() for word in words)


@every_set
def test_length_and_position_stay_at_the_majority(easy, name):
    sample = easy[name]
    text = sample.table[[TEXT[name], *(["answer"] if name == "truthfulqa" else [])]].agg(
        " ".join, axis=1
    )
    rows = np.arange(N)
    features = np.column_stack(
        [text.str.len(), text.str.count(" "), text.str.count(","), rows % 2, rows % 7, rows]
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    accuracy, n = valid_accuracy(model, features, sample)
    assert accuracy < LOWEST[name] + chance_error(LOWEST[name], n)


METADATA = {
    "liar": [
        *("subject", "speaker", "speaker_job", "state_info", "party_affiliation", "context"),
    ],
    "truthfulqa": ["type", "category", "source"],
    "multifc": ["domain", "claim_type", "language", "source_type", "confidence_score", "date"],
}


@every_set
def test_metadata_stay_at_the_majority(easy, name):
    sample = easy[name]
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(C=0.1))
    accuracy, n = valid_accuracy(model, sample.table[METADATA[name]], sample)
    assert accuracy < LOWEST[name] + chance_error(LOWEST[name], n)


@every_set
def test_neighbouring_rows_are_independent(easy, name):
    labels = levels(easy[name])
    share = np.bincount(labels) / N
    same = (labels[1:] == labels[:-1]).mean()
    assert same == pytest.approx((share**2).sum(), abs=chance_error((share**2).sum(), N))


@every_set
def test_texts_are_different(easy, name):
    assert easy[name].table[TEXT[name]].is_unique


@every_set
def test_same_seed_repeats_the_table_and_another_does_not(name):
    make = SYNTHESIZERS[name]
    first = make(60, seed=5)
    again = make(60, seed=5)
    pd.testing.assert_frame_equal(first.table, again.table)
    np.testing.assert_array_equal(first.posteriors, again.posteriors)
    assert not set(first.table[TEXT[name]]) & set(make(60, seed=6).table[TEXT[name]])


@every_set
def test_last_fifth_is_for_validation(name):
    for n in (1, 4, 5, 17):
        split = SYNTHESIZERS[name](n).table["split"]
        assert split.tolist() == ["train"] * (n - n // 5) + ["valid"] * (n // 5)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("liar", lambda table: table["speaker"]),
        ("liar", lambda table: table["statement"].str.extract(r" ([A-Z]\w+)")[0]),
        ("truthfulqa", lambda table: table["question"].str.extract(r"of ([A-Z]\w+)")[0]),
        ("multifc", lambda table: table["claim"].str.extract(r"in ([A-Z]\w+)")[0]),
    ],
)
def test_names_of_the_validation_rows_are_unseen(easy, name, read):
    table = easy[name].table
    names = read(table).dropna()
    train = set(names[table["split"] == "train"])
    valid = set(names[table["split"] == "valid"])
    assert train and valid and not train & valid


@sets_of_claims
def test_claims_read_as_sentences(easy, name):
    for text in easy[name].table[TEXT[name]]:
        assert re.fullmatch(r"[A-Z][A-Za-z ,-]+[a-z]\.", text)
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|  | ,", text)


@every_set
def test_generator_returns_the_table(name):
    generate = {
        "liar": generate_liar_sample,
        "truthfulqa": generate_truthfulqa_sample,
        "multifc": generate_multifc_sample,
    }[name]
    expected = SYNTHESIZERS[name](40, seed=2, bayes_accuracy=0.8).table
    pd.testing.assert_frame_equal(generate(40, seed=2, bayes_accuracy=0.8), expected)
    assert len(generate()) == 1000


@every_set
def test_number_of_rows_out_of_range_is_refused(name):
    for wrong in (0, -3, 2.5):
        with pytest.raises(
            ValueError, match=f"n must be a whole number and at least 1, got {wrong}"
        ):
            SYNTHESIZERS[name](wrong)
    with pytest.raises(ValueError, match=r"n must be smaller: there are .* got"):
        SYNTHESIZERS[name](600_000 if name == "multifc" else 110_000)


@every_set
def test_accuracy_out_of_range_is_refused(name):
    for wrong in (LOWEST[name] - 0.01, 0.99):
        with pytest.raises(ValueError, match=rf"between {LOWEST[name]:.4f}.* and 0\.9\d+"):
            SYNTHESIZERS[name](5, bayes_accuracy=wrong)


@every_set
def test_exported_files_hold_the_table(tmp_path, name):
    table = export_dataset_samples(name.upper(), 30, tmp_path / "sample.csv", seed=1)
    pd.testing.assert_frame_equal(table, SYNTHESIZERS[name](30, seed=1).table)
    read = pd.read_csv(tmp_path / "sample.csv", keep_default_na=False, dtype={"label": str})
    joined = table.map(lambda cell: "; ".join(cell) if isinstance(cell, list) else cell)
    pd.testing.assert_frame_equal(read, joined)

    export_dataset_samples(name, 30, str(tmp_path / "sample.json"), seed=1)
    assert json.loads((tmp_path / "sample.json").read_text()) == table.to_dict("records")


def test_export_without_a_path_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(export_dataset_samples("liar", 20)) == 20
    assert list(tmp_path.iterdir()) == []


def test_unknown_exports_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one of liar, truthfulqa, multifc, got 'fever'"):
        export_dataset_samples("fever")
    with pytest.raises(ValueError, match=r"must end in .csv or .json, got '.*sample.xlsx'"):
        export_dataset_samples("liar", 5, tmp_path / "sample.xlsx")
