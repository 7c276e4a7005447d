"""Information agrees with sklearn and with loops, chance with enumeration, alarms with 5%."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from sparse_transformers.utils.metrics.experts.specialization import Specialization, specialization
from sparse_transformers.utils.records import from_json, to_json

SMALL_ENTRIES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=40
).filter(lambda rows: len({row[1] for row in rows}) > 1)


def entropy_bits(labels) -> float:
    return -sum(n / len(labels) * math.log2(n / len(labels)) for n in Counter(labels).values())


def information_bits(experts, classes) -> float:
    pairs = list(zip(experts, classes, strict=True))
    return entropy_bits(experts) + entropy_bits(classes) - entropy_bits(pairs)


def average_within(statistic, given, *columns) -> float:
    """The mean over entries of a statistic among the entries with the same given label."""
    total = 0.0
    for label in set(given):
        rows = [row for row, other in enumerate(given) if other == label]
        total += len(rows) * statistic(*([column[row] for row in rows] for column in columns))
    return total / len(given)


def statements(
    generator,
    n_statements=60,
    length=8,
    n_classes=4,
    n_experts=4,
    of_statement=0.5,
    of_class=0.0,
    words_of_class=0.0,
    n_words=24,
):
    """Experts that follow the word, the statement (not its class), or really the class.

    `words_of_class` is the share of words that each class draws from favourites of its own.
    """
    kinds = generator.permutation(np.arange(n_statements) % n_classes)
    units = np.repeat(np.arange(n_statements), length)
    n_tokens, classes = len(units), kinds[units]
    favourites = generator.integers(n_words, size=(n_classes, 5))
    words = np.where(
        generator.random(n_tokens) < words_of_class,
        favourites[classes, generator.integers(5, size=n_tokens)],
        generator.integers(n_words, size=n_tokens),
    )
    experts = generator.integers(n_experts, size=n_words)[words]
    of_unit = generator.integers(n_experts, size=n_statements)[units]
    experts = np.where(generator.random(n_tokens) < of_statement, of_unit, experts)
    experts = np.where(generator.random(n_tokens) < of_class, classes % n_experts, experts)
    return experts, classes, units, words


@given(SMALL_ENTRIES)
def test_information_agrees_with_sklearn(rows):
    experts, classes, _ = (list(column) for column in zip(*rows, strict=True))
    found = specialization(experts, classes, n_shuffles=1)
    expected = mutual_info_score(classes, experts) / math.log(2)
    assert found.information_bits == pytest.approx(expected, abs=1e-12)
    assert found.most_bits == pytest.approx(
        min(entropy_bits(experts), entropy_bits(classes)), abs=1e-12
    )
    assert found.n_entries == found.n_units == len(rows)


@given(SMALL_ENTRIES)
def test_information_within_a_given_label_agrees_with_loops(rows):
    experts, classes, words = (list(column) for column in zip(*rows, strict=True))
    found = specialization(experts, classes, given=words, n_shuffles=1)
    assert found.information_bits == pytest.approx(
        average_within(information_bits, words, experts, classes), abs=1e-12
    )
    entropies = (average_within(entropy_bits, words, column) for column in (experts, classes))
    assert found.most_bits == pytest.approx(min(entropies), abs=1e-12)


@pytest.mark.parametrize("agreement", [0.0, 0.2, 0.9])
def test_score_of_independent_tokens_agrees_with_adjusted_mutual_information(agreement):
    generator = np.random.default_rng(3)
    classes = generator.integers(5, size=150)
    random = generator.integers(6, size=150)
    experts = np.where(generator.random(150) < agreement, classes, random)
    found = specialization(experts, classes, n_shuffles=4000)
    by_chance = expected_mutual_information(contingency_matrix(classes, experts, sparse=True), 150)
    # Shuffles spread by .025 bits, so the mean of 4000 is known to .0004.
    assert found.null_bits == pytest.approx(by_chance / math.log(2), abs=0.0015)
    expected = adjusted_mutual_info_score(classes, experts, average_method="min")
    assert found.score == pytest.approx(expected, abs=0.001)


def test_shuffles_of_units_agree_with_all_permutations():
    lengths, kinds = [1, 4, 2, 3, 2, 1], ["a", "a", "b", "b", "c", "c"]
    units = np.repeat(np.arange(6), lengths)
    experts = np.array([0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 2, 2, 2])
    exact = np.array(
        [
            information_bits(experts.tolist(), [permuted[unit] for unit in units])
            for permuted in itertools.permutations(kinds)
        ]
    )
    classes = np.array(kinds)[units]
    found = specialization(experts, classes, units=units, n_shuffles=6000)
    assert found.n_units == 6
    assert found.null_bits == pytest.approx(exact.mean(), abs=0.012)  # four errors of 6000 draws
    reached = np.mean(exact >= exact[0] - 1e-9)
    assert found.p_value == pytest.approx(reached, abs=0.02)
    assert found.null_high_bits == pytest.approx(np.quantile(exact, 0.95), abs=0.01)
    lower = specialization(experts, classes, units=units, n_shuffles=6000, confidence=0.5)
    assert lower.null_high_bits == pytest.approx(np.quantile(exact, 0.5), abs=0.02)


def test_shuffles_within_words_agree_with_all_permutations_of_units_that_repeat_it_alike():
    blocks = [  # word, unit, experts of the word's occurrences in that unit
        ("it", 0, [0, 1]),
        ("it", 1, [1, 1]),
        ("it", 2, [2]),
        ("it", 3, [0]),
        ("it", 4, [2]),
        ("was", 0, [1]),
        ("was", 2, [1]),
        ("was", 3, [0]),
        ("was", 4, [0]),
        ("never", 1, [2]),
    ]
    kind_of = ["a", "b", "a", "b", "c"]
    words = [word for word, _, own in blocks for _ in own]
    units = [unit for _, unit, own in blocks for _ in own]
    experts = [expert for _, _, own in blocks for expert in own]
    exact = 0.0
    for word in set(words):
        own = [block for block in blocks if block[0] == word]
        alike = [
            [place for place, block in enumerate(own) if len(block[2]) == size] for size in (1, 2)
        ]
        values = []
        for orders in itertools.product(*map(itertools.permutations, alike)):
            dealt = {}
            for places, order in zip(alike, orders, strict=True):
                dealt |= {
                    place: kind_of[own[other][1]]
                    for place, other in zip(places, order, strict=True)
                }
            classes = [dealt[place] for place, block in enumerate(own) for _ in block[2]]
            values.append(information_bits([e for block in own for e in block[2]], classes))
        exact += words.count(word) / len(words) * np.mean(values)
    found = specialization(
        experts, [kind_of[unit] for unit in units], units=units, given=words, n_shuffles=4000
    )
    assert found.null_bits == pytest.approx(exact, abs=0.01)


def test_a_unit_keeps_its_place_among_the_classes_from_word_to_word():
    generator = np.random.default_rng(0)
    kinds, experts = generator.integers(3, size=30), generator.integers(3, size=30)
    once = specialization(experts, kinds, units=np.arange(30))
    twice = specialization(
        np.tile(experts, 2),
        np.tile(kinds, 2),
        units=np.tile(np.arange(30), 2),
        given=np.repeat([0, 1], 30),
    )
    # Both words of a unit have its expert, so nothing averages out between them.
    assert twice.null_high_bits == pytest.approx(once.null_high_bits, abs=1e-12)
    assert (twice.score, twice.p_value) == pytest.approx((once.score, once.p_value))


@pytest.fixture(scope="module")
def statements_without_specialization():
    """Of 200 data sets whose experts know nothing of the class: score and p-value, by way."""
    results = {"units": [], "tokens": []}
    for trial in range(200):
        experts, classes, units, _ = statements(np.random.default_rng(trial), of_statement=0.6)
        for way, own in (("units", units), ("tokens", None)):
            found = specialization(experts, classes, units=own, n_shuffles=59, seed=trial)
            results[way].append((found.score, found.p_value))
    return {way: np.array(each).T for way, each in results.items()}


def test_shuffled_statements_raise_false_alarms_as_often_as_they_say(
    statements_without_specialization,
):
    scores, p_values = statements_without_specialization["units"]
    # 200 data sets know a share of .05 to ±.03.
    assert 0.02 <= np.mean(p_values <= 0.05) <= 0.08
    assert kstest(p_values, "uniform").pvalue > 0.05
    assert abs(scores.mean()) < 3 * scores.std() / math.sqrt(200)


def test_shuffled_tokens_find_specialization_where_there_is_none(
    statements_without_specialization,
):
    scores, p_values = statements_without_specialization["tokens"]
    assert np.mean(p_values <= 0.05) > 0.6
    assert scores.mean() > 5 * scores.std() / math.sqrt(200)


@pytest.mark.parametrize("words_of_class", [0.0, 0.8])
def test_alarms_given_the_word_are_as_rare_as_they_say_whatever_words_the_classes_have(
    words_of_class,
):
    results, of_tokens = [], []
    for trial in range(200):
        experts, classes, units, words = statements(
            np.random.default_rng(trial), words_of_class=words_of_class
        )
        options = {"given": words, "n_shuffles": 39, "seed": trial}
        found = specialization(experts, classes, units=units, **options)
        results.append((found.score, found.p_value))
        of_tokens.append(specialization(experts, classes, **options).p_value)
    scores, p_values = np.array(results).T
    # 200 data sets know a share of .05 to ±.03.
    assert 0.02 <= np.mean(p_values <= 0.05) <= 0.08
    assert abs(scores.mean()) < 3 * scores.std() / math.sqrt(200)
    assert np.mean(np.array(of_tokens) <= 0.05) > 0.12


def test_class_of_single_tokens_raises_false_alarms_as_often_as_it_says():
    p_values = []
    for trial in range(200):
        generator = np.random.default_rng(trial)
        experts, classes = generator.integers(4, size=(2, 80))
        p_values.append(specialization(experts, classes, n_shuffles=39, seed=trial).p_value)
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.08
    assert kstest(p_values, "uniform").pvalue > 0.05


def test_experts_by_the_word_tell_the_word_and_nothing_beyond_it():
    generator = np.random.default_rng(0)
    experts, classes, units, words = statements(
        generator, n_statements=300, of_statement=0.0, words_of_class=0.8
    )
    about_word = specialization(experts, words)
    assert about_word.score == pytest.approx(1.0)
    assert about_word.p_value == 1 / 201
    about_class = specialization(experts, classes, units=units)
    assert about_class.score > 0.05
    assert about_class.p_value == 1 / 201
    beyond = specialization(experts, classes, units=units, given=words)
    assert beyond.information_bits == pytest.approx(0.0, abs=1e-12)
    assert (beyond.score, beyond.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_planted_specialization_is_recovered_over_chance(share):
    generator = np.random.default_rng(1)
    experts, classes, units, words = statements(
        generator, n_statements=1500, of_statement=0.0, of_class=share, n_words=4
    )
    # The population's: the class's own expert with this probability, else one by the word.
    by_word = np.bincount([experts_of(words, experts, word) for word in range(4)], minlength=4) / 4
    joint = 0.25 * ((1 - share) * by_word[None] + share * np.eye(4))
    ratio = joint / joint.sum(0) / joint.sum(1, keepdims=True)
    expected = float(np.sum(joint * np.log2(np.where(joint > 0, ratio, 1.0))))
    found = specialization(experts, classes, units=units)
    assert found.information_bits - found.null_bits == pytest.approx(expected, rel=0.15)
    beyond = specialization(experts, classes, units=units, given=words)
    assert found.p_value == beyond.p_value == 1 / 201
    assert found.null_high_bits < found.information_bits
    assert 0 < found.null_high_score < found.score < 1
    assert beyond.score > found.score  # the word explains the rest of the experts away


def experts_of(words, experts, word) -> int:
    """The expert that a word has where the class does not decide: its most frequent one."""
    return Counter(experts[words == word].tolist()).most_common(1)[0][0]


def test_experts_equal_to_classes_score_one():
    kinds = np.repeat(["a", "b", "c"], 20)
    units = np.repeat(np.arange(30), 2)
    for options in ({}, {"units": units}, {"units": units, "given": np.tile([0, 1], 30)}):
        found = specialization(np.repeat([4, 0, 2], 20), kinds, **options)
        assert found.score == pytest.approx(1.0)
        assert found.information_bits == pytest.approx(math.log2(3))
        assert found.p_value == 1 / 201


def test_an_expert_that_reads_everything_scores_zero():
    found = specialization(np.full(40, 3), np.arange(40) % 2)
    assert (found.information_bits, found.most_bits, found.score) == (0.0, 0.0, 0.0)
    assert (found.p_value, found.null_high_score) == (1.0, 0.0)


def test_classes_of_one_token_each_score_zero():
    found = specialization(np.arange(40) % 4, np.arange(40))
    bits = (found.information_bits, found.null_bits, found.most_bits)
    assert bits == pytest.approx((2.0, 2.0, 2.0))
    assert (found.score, found.p_value) == (0.0, 1.0)


def test_less_than_chance_is_below_zero():
    classes = np.tile([0, 1], 10)
    experts = np.repeat([0, 1], 10)
    assert specialization(experts, classes).score < 0


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_names_do_not_matter(seed):
    generator = np.random.default_rng(seed)
    experts, classes, units, words = statements(generator, n_statements=12, of_class=0.3)
    rename = generator.permutation(100)
    found = specialization(experts, classes, units=units, given=words, n_shuffles=20)
    renamed = specialization(
        rename[experts],
        [f"kind {rename[each]}" for each in classes],
        units=rename[units].astype(str),
        given=-rename[words],
        n_shuffles=20,
    )
    # The order of the experts is one of summation.
    assert to_json(renamed) == pytest.approx(to_json(found), abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_order_of_the_tokens_does_not_matter(seed):
    generator = np.random.default_rng(seed)
    columns = statements(generator, n_statements=12, of_class=0.3)
    order = generator.permutation(len(columns[0]))
    found, moved = (
        specialization(experts, classes, units=units, given=words)
        for experts, classes, units, words in (columns, [column[order] for column in columns])
    )
    assert moved.information_bits == pytest.approx(found.information_bits, abs=1e-12)
    assert moved.most_bits == pytest.approx(found.most_bits, abs=1e-12)
    assert moved.null_bits == pytest.approx(found.null_bits, abs=0.02)  # other shuffles


def test_a_label_given_to_all_changes_nothing():
    experts, classes, units, _ = statements(np.random.default_rng(0))
    units = units % 55  # of two lengths
    classes = (units * 7) % 4
    assert specialization(experts, classes, units=units) == specialization(
        experts, classes, units=units, given=np.zeros(len(experts))
    )


def test_tokens_without_an_expert_are_left_out_and_counted():
    experts, classes, units, words = statements(np.random.default_rng(0))
    dropped = np.random.default_rng(1).random(len(experts)) < 0.3
    found = specialization(np.where(dropped, -1, experts), classes, units=units, given=words)
    kept = ~dropped
    expected = specialization(experts[kept], classes[kept], units=units[kept], given=words[kept])
    assert (found.n_without_expert, expected.n_without_expert) == (dropped.sum(), 0)
    assert found.n_entries == expected.n_entries == kept.sum()
    assert found.information_bits == pytest.approx(expected.information_bits)
    assert found.most_bits == pytest.approx(expected.most_bits)
    assert found.null_bits == pytest.approx(expected.null_bits, abs=0.02)  # other shuffles


def test_same_seed_same_shuffles_and_nothing_else_is_touched():
    columns = statements(np.random.default_rng(0))
    before = [column.copy() for column in columns]
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    experts, classes, units, words = columns
    first, again, other = (
        specialization(experts, classes, units=units, given=words, n_shuffles=9, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert other.null_bits != first.null_bits
    assert other.information_bits == first.information_bits
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    for column, copy in zip(columns, before, strict=True):
        assert np.array_equal(column, copy)


def test_many_sparse_labels_need_no_table_of_all_combinations():
    # As a dense table, this would be 3000 words x 3000 classes x 4 experts.
    generator = np.random.default_rng(0)
    words, classes = generator.integers(3000, size=(2, 6000))
    found = specialization(generator.integers(4, size=6000), classes, given=words, n_shuffles=20)
    assert found.null_bits == pytest.approx(found.information_bits, abs=0.001)
    assert found.p_value > 0.05


def test_result_survives_json():
    found = specialization([0, 1, 0, 1], ["a", "b", "a", "b"], n_shuffles=3)
    assert from_json(Specialization, to_json(found)) == found
    assert all(type(value) in (int, float) for value in to_json(found).values())


FOUR = [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experts": []}, "experts must hold one number per token"),
        ({"experts": [FOUR]}, r"experts must hold one number per token, got shape \(1, 4\)"),
        ({"experts": [0.0, 1.0, 0.0, 1.0]}, "experts must be whole numbers, got dtype float64"),
        ({"experts": [True, False, True, True]}, "experts must be whole numbers, got dtype bool"),
        ({"experts": [0, 1, 0, -2]}, r"at least -1 \(no expert\), got -2 to 1"),
        ({"num_experts": 1}, r"below num_experts \(1\), got 0 to 1"),
        ({"num_experts": 0}, "num_experts must be at least 1, got 0"),
        ({"experts": [-1] * 4}, "got -1 for all of 4 tokens"),
        ({"classes": ["a", "b", "a"]}, "classes must have a label for each of 4 rows, got 3"),
        ({"classes": ["a", "b", "a", None]}, "classes must not miss a label"),
        ({"classes": ["a"] * 4}, "classes must be at least two .* got one"),
        ({"classes": [0, 1, 1, 1], "experts": [-1, 0, 1, 1]}, "classes must be at least two"),
        ({"units": [0, 1, 2]}, "units must have a label for each of 4 rows"),
        ({"units": [0, 1, float("nan"), 3]}, "units must not miss a label"),
        ({"units": [7, 7, 8, 8]}, "unit 7 has 'a' and 'b'|unit 7 has 'b' and 'a'"),
        ({"units": [7] * 4, "classes": ["a"] * 4}, "units must be at least two"),
        ({"experts": [0, -1, -1, -1]}, "units must be at least two .* got one"),
        ({"given": [0, 1]}, "given must have a label for each of 4 rows"),
        ({"n_shuffles": 0}, "n_shuffles must be at least 1, got 0"),
        ({"confidence": 1.0}, "confidence must be between 0 and 1"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    arguments = {"experts": FOUR, "classes": ["a", "b", "a", "b"], **arguments}
    with pytest.raises(ValueError, match=message):
        specialization(**arguments)


def test_a_unit_of_two_classes_is_refused_even_where_no_expert_reads_the_second():
    with pytest.raises(ValueError, match="must be the same for all tokens of a unit"):
        specialization([0, -1, 1, 1], ["a", "b", "b", "b"], units=[0, 0, 1, 2])
