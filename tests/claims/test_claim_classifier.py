"""The classifier learns what is there, nothing else, and is the same after it was saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from sparse_transformers.claims.calibration import ClaimCalibration, combine
from sparse_transformers.claims.classifier import ClaimClassifier
from sparse_transformers.claims.config import (
    ClaimClassifierConfig,
    NGramMember,
    TransformerMember,
)
from sparse_transformers.claims.members import assign_folds, untrained_members
from sparse_transformers.claims.tokenizer import WordTokenizer

QUICK = ClaimClassifierConfig(
    transformer=TransformerMember(
        d_model=16, token_dropout=0.1, epochs=6, learning_rate=1e-2, weight_decay=0.1
    ),
    ngrams=NGramMember(n_buckets=2**12, epochs=8, learning_rate=5e-2),
    folds=2,
    batch_size=16,
    patience=12,
)
TRUTHFUL_WORDS = {"true": ("calm", "quiet"), "false": ("loud", "wild")}


def claims(n=240, seed=0):
    """Short claims whose label shows in one of four words, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["true", "false"], size=n).tolist()
    noise = [f"word{number}" for number in range(12)]
    rows = [
        " ".join([*rng.choice(noise, size=rng.integers(2, 7)), rng.choice(TRUTHFUL_WORDS[label])])
        for label in labels
    ]
    return rows, labels


@pytest.fixture(scope="module")
def fitted():
    rows, labels = claims()
    return ClaimClassifier(QUICK).fit(rows, labels, classes=("false", "true"), device="cpu")


@pytest.mark.parametrize("kind", [None, "transformer", "ngrams"])
def test_planted_signal_is_learned(fitted, kind):
    rows, labels = claims(seed=1)
    probabilities = fitted.predict_proba(rows, kind=kind)
    assert probabilities.shape == (240, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    predicted = np.array(fitted.classes)[probabilities.argmax(1)]
    assert np.mean(predicted == labels) > 0.95
    out_of_fold = fitted.out_of_fold_proba(kind=kind).argmax(1)
    assert np.mean(out_of_fold == fitted.out_of_fold.targets) > 0.85  # each saw half of the rows


def test_prediction_is_the_most_probable_label(fitted):
    rows, _ = claims(seed=2)
    best = fitted.predict_proba(rows).argmax(1)
    assert fitted.predict(rows) == [fitted.classes[each] for each in best]


def test_shuffled_labels_teach_nothing():
    rows, labels = claims(400)
    shuffled = np.random.default_rng(1).permutation(labels).tolist()
    classifier = ClaimClassifier(QUICK).fit(rows, shuffled, device="cpu")
    right = classifier.out_of_fold_proba().argmax(1) == classifier.out_of_fold.targets
    # Of 400 fair guesses, more than 240 are right with a probability of 3 in 100,000.
    assert right.sum() <= 240
    fresh, labels = claims(400, seed=1)
    unrelated = np.random.default_rng(2).permutation(labels)
    loss = log_loss(unrelated, classifier.predict_proba(fresh), labels=classifier.classes)
    assert loss == pytest.approx(np.log(2), abs=0.03)


def test_order_of_rows_asked_for_does_not_matter(fitted):
    rows, _ = claims(seed=3)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = fitted.predict_proba([rows[each] for each in order])
    np.testing.assert_allclose(shuffled, fitted.predict_proba(rows)[order], atol=1e-6)


def test_unknown_and_missing_words_get_an_answer(fitted):
    probabilities = fitted.predict_proba(["entirely unheard-of things", "", "?!"])
    assert np.isfinite(probabilities).all()
    assert fitted.predict_proba([]).shape == (0, 2)


def test_saved_classifier_gives_the_same_probabilities(fitted, tmp_path):
    rows, _ = claims(seed=1)
    fitted.save(tmp_path / "claims")
    loaded = ClaimClassifier.load(tmp_path / "claims")
    assert {path.name for path in (tmp_path / "claims").iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    assert loaded.config == fitted.config
    assert loaded.classes == fitted.classes
    for kind in (None, "transformer", "ngrams"):
        again = loaded.predict_proba(rows, kind=kind)
        assert (again == fitted.predict_proba(rows, kind=kind)).all()
    with pytest.raises(RuntimeError, match="just fitted"):
        loaded.out_of_fold_proba()


def test_saving_again_replaces_and_strangers_are_left_alone(fitted, tmp_path):
    fitted.save(tmp_path / "claims")
    fitted.save(tmp_path / "claims")
    assert [path.name for path in tmp_path.iterdir()] == ["claims"]
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match=r"must be new.*thesis\.txt"):
        fitted.save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_save_that_fails_keeps_what_was_there(fitted, tmp_path, monkeypatch):
    rows, _ = claims(seed=1)
    fitted.save(tmp_path / "claims")

    def fail(tokenizer, folder):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("sparse_transformers.claims.classifier.save_tokenizer", fail)
        with pytest.raises(OSError, match="no space left"):
            fitted.save(tmp_path / "claims")
    loaded = ClaimClassifier.load(tmp_path / "claims")
    assert (loaded.predict_proba(rows) == fitted.predict_proba(rows)).all()
    assert [path.name for path in tmp_path.iterdir()] == ["claims"]


def without(name):
    return lambda folder: (folder / name).unlink()


def rewritten(name, change):
    def damage(folder):
        values = json.loads((folder / name).read_text())
        change(values)
        (folder / name).write_text(json.dumps(values))

    return damage


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without("config.json"), FileNotFoundError, r"config\.json"),
        (without("tokenizer.json"), FileNotFoundError, r"tokenizer\.json"),
        (without("model.safetensors"), FileNotFoundError, r"model\.safetensors"),
        (cut, ValueError, r"model\.safetensors is damaged"),
        (
            rewritten("config.json", lambda values: values.pop("inverse_temperatures")),
            ValueError,
            r"config\.json is no claim classifier",
        ),
        (
            rewritten("config.json", lambda values: values["config"].update(colour="red")),
            ValueError,
            r"config\.json is no claim classifier.*colour",
        ),
        (
            rewritten("config.json", lambda values: values["config"].update(folds=3)),
            ValueError,
            r"model\.safetensors does not fit.*missing tensors: ngrams\.2",
        ),
        (
            rewritten("config.json", lambda values: values["config"].update(ngrams=None)),
            ValueError,
            "must fit together",
        ),
        (
            rewritten("tokenizer.json", lambda values: values["vocabulary"]["text"].append("new")),
            ValueError,
            r"model\.safetensors does not fit.*other shapes: transformer\.0",
        ),
        (
            rewritten("tokenizer.json", lambda values: values["vocabulary"].update(more=["a"])),
            ValueError,
            "must fit together",
        ),
    ],
)
def test_damaged_folder_is_named(fitted, tmp_path, damage, error, message):
    fitted.save(tmp_path / "claims")
    damage(tmp_path / "claims")
    with pytest.raises(error, match=message):
        ClaimClassifier.load(tmp_path / "claims")


def test_nothing_can_be_asked_before_fitting(tmp_path):
    for ask in (
        lambda classifier: classifier.predict(["a"]),
        lambda classifier: classifier.save(tmp_path / "claims"),
        lambda classifier: classifier.classes,
        lambda classifier: classifier.out_of_fold,
    ):
        with pytest.raises(RuntimeError):
            ask(ClaimClassifier())


def test_fits_of_the_same_seed_agree_and_global_randomness_is_left_alone():
    rows, labels = claims(40)
    config = replace(QUICK, transformer=replace(QUICK.transformer, epochs=1), ngrams=None)
    state, probabilities = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        classifier = ClaimClassifier(replace(config, seed=seed)).fit(rows, labels, device="cpu")
        probabilities.append(classifier.predict_proba(rows))
    assert (probabilities[0] == probabilities[1]).all()
    assert (probabilities[0] != probabilities[2]).any()
    assert torch.equal(torch.get_rng_state(), state)


def test_no_two_members_start_alike():
    rows, _ = claims(20)
    tokenizer = WordTokenizer.from_rows(rows)
    starts = [
        member.embedding.token.weight
        for seed in range(3)
        for member in untrained_members(replace(QUICK, seed=seed), tokenizer, 2)["transformer"]
    ]
    assert len({tuple(weights.flatten().tolist()) for weights in starts}) == 3 * QUICK.folds


@pytest.mark.parametrize("tokenizer", ["words", "bytes"])
def test_fields_are_read_apart(tokenizer):
    """The label is whether the verdict's word is "yes"; the remark's word is the opposite."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=120).tolist()
    rows = [
        {"verdict": ("no", "yes")[label], "remark": ("no", "yes")[rng.integers(2)]}
        for label in labels
    ]
    config = replace(QUICK, fields=("verdict", "remark"), tokenizer=tokenizer, transformer=None)
    classifier = ClaimClassifier(config).fit(rows, labels, device="cpu")
    asked = [{"verdict": a, "remark": b} for a in ("no", "yes") for b in ("no", "yes")]
    assert classifier.predict(asked) == [0, 0, 1, 1]


def test_balanced_classes_find_the_rare_one():
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.1).tolist()
    # A word that is in a third of the frequent class and in all of the rare one.
    rows = ["odd" if rare or rng.random() < 1 / 3 else "plain" for rare in labels]
    config = replace(QUICK, transformer=None)
    found = {
        balanced: ClaimClassifier(replace(config, balanced=balanced))
        .fit(rows, labels, device="cpu")
        .predict(["odd"])[0]
        for balanced in (False, True)
    }
    assert found == {False: False, True: True}


def test_one_kind_of_member_needs_no_joint_temperature():
    rows, labels = claims(60)
    classifier = ClaimClassifier(replace(QUICK, transformer=None)).fit(rows, labels, device="cpu")
    both, alone = (classifier.predict_proba(rows, kind=kind) for kind in (None, "ngrams"))
    assert (both == alone).all()
    with pytest.raises(ValueError, match="unknown kind of member 'transformer'; known are ngrams"):
        classifier.predict_proba(rows, kind="transformer")


def test_kinds_are_averaged_after_their_own_temperature():
    calibration = ClaimCalibration(QUICK, ("a", "b"), {"transformer": 0.5, "ngrams": 2.0}, 3.0)
    logits = {"transformer": np.array([[6.0, 0.0]]), "ngrams": np.array([[0.0, 1.0]])}
    odds = 3 * (0.5 * 6 - 2 * 1) / 2
    expected = 1 / (1 + np.exp(-odds))
    assert combine(calibration, logits)[0, 0] == pytest.approx(expected)
    alone = combine(calibration, {"ngrams": logits["ngrams"]})
    assert alone[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize("grouped", [False, True])
def test_folds_share_out_classes_and_keep_groups_whole(grouped):
    rng = np.random.default_rng(0)
    targets = rng.integers(3, size=300)
    groups = [f"speaker {number}" for number in rng.integers(40, size=300)]
    folds = assign_folds(targets, 5, groups=groups if grouped else None, seed=0)
    assert set(folds) == set(range(5))
    if grouped:
        for group in set(groups):
            members = [fold for fold, each in zip(folds, groups, strict=True) if each == group]
            assert len(set(members)) == 1
    else:
        shares = [np.bincount(targets[folds == fold], minlength=3) for fold in range(5)]
        assert np.ptp(shares, axis=0).max() <= 1


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a", "b"] * 4, {}, "one for each of the 10 rows, got 8"),
        (["a"] * 10, {}, r"at least two different labels, got \('a',\)"),
        (["a"] * 9 + ["b"], {}, "a row for each of the 2 folds, got 'a': 9, 'b': 1"),
        (["a", "b"] * 5, {"classes": ("a", "c")}, "among the classes .* got 'b'"),
        (["a", "b"] * 5, {"classes": ("a", "b", "b")}, "two different labels"),
        (["a", "b"] * 5, {"classes": ("a", "b", "c")}, "got 'a': 5, 'b': 5, 'c': 0"),
        ([0.5, 1.0] * 5, {}, "texts, whole numbers or truth values, got 0.5"),
        (["a", "b"] * 5, {"groups": ["x"] * 10}, "at least 2 different ones, got 10 and 1"),
        (["a", "b"] * 5, {"groups": ["x", "y"]}, "one for each of the 10 rows"),
    ],
)
def test_labels_that_nothing_can_be_learned_from_are_refused(labels, options, message):
    with pytest.raises(ValueError, match=message):
        ClaimClassifier(QUICK).fit(["a claim"] * 10, labels, **options)


def test_failed_fit_keeps_what_was_learned(fitted):
    rows, labels = claims(seed=1)
    before = fitted.predict_proba(rows)
    with pytest.raises(ValueError, match="a row must"):
        fitted.fit([*rows[1:], None], labels)
    assert (fitted.predict_proba(rows) == before).all()


def test_configuration_survives_json():
    config = replace(QUICK, fields=("a", "b"), ngrams=None, mark_repeats=True)
    assert ClaimClassifierConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tokenizer": "letters"}, "unknown tokenizer 'letters'; known are words, bytes"),
        ({"tokenizer": "bytes", "mark_repeats": True}, "mark_repeats needs the tokenizer 'words'"),
        ({"transformer": None, "ngrams": None}, "transformer or ngrams must be given"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"patience": 0}, "patience must be at least 1"),
    ],
)
def test_configuration_out_of_range_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        replace(QUICK, **values)
