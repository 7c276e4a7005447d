"""The evaluator: what it reports, its error bars, and its comparisons."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from sparse_transformers.utils.metrics.classifier_comparison import compare_classifiers
from sparse_transformers.utils.metrics.delong import delong_test
from sparse_transformers.utils.metrics.predictions import encode_predictions
from sparse_transformers.utils.metrics.significance import (
    bootstrap_interval,
    mcnemar_test,
    paired_bootstrap,
    share_interval,
)
from sparse_transformers.utils.metrics.thresholds import threshold_analysis
from sparse_transformers.utils.truthfulness_metrics import (
    TruthfulnessEvaluator,
    calculate_truthfulness_metrics,
)

SCALE = ("pants-fire", "false", "barely-true", "half-true", "mostly-true", "true")


def calibrated_rows(n_rows=200, seed=0):
    generator = np.random.default_rng(seed)
    probability = generator.beta(2, 2, n_rows)
    return generator.random(n_rows) < probability, probability > 0.5, probability


def scale_rows(n_rows=120, seed=0):
    generator = np.random.default_rng(seed)
    truth, predicted = generator.integers(6, size=(2, n_rows))
    names = np.array(SCALE)
    return names[truth], names[predicted], generator.dirichlet(np.ones(6), n_rows)


def test_shortest_use_needs_no_options():
    y_true, y_pred = [1, 0, 1, 1], [1, 0, 0, 1]

    metrics = TruthfulnessEvaluator().calculate_comprehensive_metrics(y_true, y_pred)

    assert metrics["accuracy"] == 0.75
    assert metrics == calculate_truthfulness_metrics(y_true, y_pred)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        (["true", "false", "true"], [True, False, False]),
        (pd.Series([1, 0, 1]), np.array([1.0, 0.0, 0.0])),
        ((True, False, True), pd.Series(["True", "False", "False"], dtype="category")),
    ],
)
def test_every_form_of_truth_value_gives_the_same(truth, predicted):
    metrics = TruthfulnessEvaluator().calculate_comprehensive_metrics(truth, predicted)

    assert metrics == calculate_truthfulness_metrics([1, 0, 1], [1, 0, 0])


def test_evaluation_has_its_parts():
    truth, predicted, probability = calibrated_rows()
    sources = np.tile(["blog", "paper"], 100)
    metadata = {
        "categories": np.repeat(["health", "law"], 100),
        "sources": sources,
        "difficulty": np.linspace(0, 1, 200),
    }

    result = TruthfulnessEvaluator().evaluate(truth, predicted, probability, metadata)

    assert list(result) == ["basic_metrics", "advanced_metrics", "evaluation_metadata"]
    assert result["basic_metrics"] == calculate_truthfulness_metrics(truth, predicted, probability)
    advanced = result["advanced_metrics"]
    assert {name: list(groups) for name, groups in advanced.items()} == {
        "category_performance": ["health", "law"],
        "source_performance": ["blog", "paper"],
        "difficulty_performance": ["Easy", "Medium", "Hard"],
    }
    blog = sources == "blog"
    assert advanced["source_performance"]["blog"]["accuracy"] == pytest.approx(
        accuracy_score(truth[blog], predicted[blog])
    )
    assert result["evaluation_metadata"] == {
        "num_samples": 200,
        "num_classes": 2,
        "class_distribution": {"false": int(np.sum(~truth)), "true": int(np.sum(truth))},
        "task_type": "binary",
        "undefined_metrics": {},
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_evaluation_explains_what_is_undefined():
    result = TruthfulnessEvaluator().evaluate([1, 1], [1, 1])

    assert result["evaluation_metadata"]["undefined_metrics"]["specificity"] == "no row is untrue"
    assert math.isnan(result["basic_metrics"]["specificity"])
    assert result["advanced_metrics"] == {}


def test_ordinal_task_reports_the_scale():
    truth, predicted, probabilities = scale_rows()
    evaluator = TruthfulnessEvaluator("ordinal", SCALE)

    result = evaluator.evaluate(truth, predicted, probabilities, {"categories": truth})

    assert result["basic_metrics"] == calculate_truthfulness_metrics(
        truth, predicted, probabilities, labels=SCALE, ordinal=True
    )
    assert list(result["evaluation_metadata"]["class_distribution"]) == list(SCALE)
    assert result["evaluation_metadata"]["num_classes"] == 6
    of_false = result["advanced_metrics"]["category_performance"]["false"]
    assert of_false["recall"] == of_false["accuracy"]  # a single class, weighted by occurrence


def test_average_is_passed_on():
    truth, predicted, _ = scale_rows()

    macro = TruthfulnessEvaluator("multiclass", SCALE, "macro").evaluate(
        truth, predicted, metadata={"sources": ["all"] * len(truth)}
    )

    assert macro["basic_metrics"]["f1"] == macro["basic_metrics"]["macro_f1"]
    assert macro["advanced_metrics"]["source_performance"]["all"]["f1_score"] == pytest.approx(
        macro["basic_metrics"]["macro_f1"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ternary",), "task_type must be one of binary, multiclass, ordinal, got 'ternary'"),
        (("ordinal",), "labels must list the classes in order"),
        (("binary", SCALE), "labels must be two for a binary task"),
        (("multiclass", ("a", "b")), "labels must be three or more for a multiclass task"),
        (("binary", None, "micro"), "average must be one of weighted, macro"),
    ],
)
def test_bad_task_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        TruthfulnessEvaluator(*arguments)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"speaker": [1, 2]}, "metadata must be among categories, sources, difficulty, got speak"),
        ({"sources": ["a"]}, "must hold one entry for each of 2 rows"),
        ({"difficulty": [0.5, 2]}, "difficulty must be from 0 to 1"),
    ],
)
def test_bad_metadata_is_refused_and_not_remembered(metadata, message):
    evaluator = TruthfulnessEvaluator()

    with pytest.raises(ValueError, match=message):
        evaluator.evaluate([1, 0], [1, 0], metadata=metadata)
    assert evaluator.get_evaluation_summary()["num_evaluations"] == 0


def test_binary_evaluator_says_how_to_score_other_labels():
    with pytest.raises(
        ValueError, match=r"y_true must hold only True or False.*'half-true'.*row 0"
    ):
        TruthfulnessEvaluator().evaluate(["half-true", "true"], ["true", "true"])


def test_summary_covers_all_evaluations():
    evaluator = TruthfulnessEvaluator()
    evaluator.evaluate([1, 0, 1, 0], [1, 0, 1, 0])
    evaluator.evaluate([1, 0, 1, 0], [1, 0, 0, 1])

    assert evaluator.get_evaluation_summary() == pytest.approx(
        {
            "num_evaluations": 2,
            "avg_accuracy": 0.75,
            "std_accuracy": math.sqrt(0.125),
            "avg_f1_score": 0.75,
            "std_f1_score": math.sqrt(0.125),
            "best_accuracy": 1.0,
            "worst_accuracy": 0.5,
        }
    )


def test_summary_of_nothing_is_undefined():
    summary = TruthfulnessEvaluator().get_evaluation_summary()

    assert summary.pop("num_evaluations") == 0
    assert all(math.isnan(value) for value in summary.values())


def test_intervals_are_those_of_the_bootstrap():
    truth, predicted, probability = calibrated_rows()
    groups = np.arange(200) // 8

    metrics = TruthfulnessEvaluator().calculate_comprehensive_metrics(
        truth, predicted, probability, groups=groups, ci=0.9, n_resamples=50, seed=3
    )

    options = {"groups": groups, "n_resamples": 50, "confidence": 0.9, "seed": 3}
    accuracy = share_interval(truth == predicted, groups=groups, confidence=0.9)
    assert (metrics["accuracy_low"], metrics["accuracy_high"]) == (accuracy.low, accuracy.high)
    brier = bootstrap_interval(lambda y, p: np.mean((p - y) ** 2), truth, probability, **options)
    assert metrics["brier_score_low"] == pytest.approx(brier.low)
    assert metrics["brier_score_high"] == pytest.approx(brier.high)
    plain = TruthfulnessEvaluator().calculate_comprehensive_metrics(truth, predicted, probability)
    assert {name: metrics[name] for name in plain} == plain


@pytest.mark.parametrize("task", ["binary", "ordinal"])
def test_every_metric_has_limits_or_a_null(task):
    rows = calibrated_rows() if task == "binary" else scale_rows()
    labels = SCALE if task == "ordinal" else None
    evaluator = TruthfulnessEvaluator(task, labels)
    plain = evaluator.calculate_comprehensive_metrics(*rows)

    metrics = evaluator.calculate_comprehensive_metrics(*rows, ci=0.95, n_resamples=60)

    for name, value in plain.items():
        if name.endswith("calibration_error"):
            assert f"{name}_low" not in metrics
        else:
            assert metrics[f"{name}_low"] <= value <= metrics[f"{name}_high"]
    null, high = (metrics[f"expected_calibration_error_null{end}"] for end in ("", "_high"))
    assert 0 < null < high
    assert all(math.isfinite(value) for value in metrics.values())


def test_undefined_metric_has_undefined_limits():
    metrics = TruthfulnessEvaluator().calculate_comprehensive_metrics(
        [1, 1, 1], [1, 0, 1], [1.0, 0.0, 0.5], ci=0.95, n_resamples=20
    )

    assert math.isnan(metrics["specificity_low"])
    assert metrics["negative_log_likelihood"] == math.inf
    assert math.isnan(metrics["negative_log_likelihood_high"])
    assert metrics["accuracy_low"] < metrics["accuracy_high"]


def test_metric_that_most_resamples_lack_has_undefined_limits():
    # One false claim: absent from 37% of resamples of rows, from half or more of those of groups.
    truth, predicted = [0] + [1] * 7, [0, 1] * 4
    groups = [0] + [1] * 7

    metrics = TruthfulnessEvaluator().calculate_comprehensive_metrics(
        truth, predicted, groups=groups, ci=0.95, n_resamples=40
    )

    assert math.isfinite(metrics["mcc"])
    assert math.isnan(metrics["mcc_low"])
    assert math.isfinite(metrics["accuracy_low"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": [1, 2, 3]}, "groups must come with ci"),
        ({"ci": 95}, "confidence must be between 0 and 1, got 95"),
        ({"ci": 0.95, "n_resamples": 0}, "n_resamples must be at least 1"),
        ({"ci": 0.95, "groups": [1, 1, 1]}, "groups must hold at least two groups"),
        ({"ci": 0.95, "groups": [1, 2]}, "groups must name one group per row"),
        ({"ci": 0.95, "groups": [1, 2, None]}, "row 2 has none"),
    ],
)
def test_bad_interval_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TruthfulnessEvaluator().calculate_comprehensive_metrics([1, 0, 1], [1, 0, 0], **options)


def test_threshold_analysis_is_that_of_the_truthful_class():
    truth, _, probability = calibrated_rows()
    names = np.where(truth, "real", "fake")
    expected = threshold_analysis(truth, probability, false_positive_cost=5)

    evaluator = TruthfulnessEvaluator(labels=("fake", "real"))

    assert evaluator.threshold_analysis(names, probability, false_positive_cost=5) == expected
    two_columns = np.stack([1 - probability, probability], axis=1)
    assert evaluator.threshold_analysis(names, two_columns, false_positive_cost=5) == expected
    with pytest.raises(ValueError, match="task_type must be 'binary' for a threshold"):
        TruthfulnessEvaluator("ordinal", SCALE).threshold_analysis(names, probability)


def test_comparison_is_that_of_the_tests():
    truth, predicted, probability = calibrated_rows()
    other_probability = np.random.default_rng(1).permutation(probability)
    other = other_probability > 0.5

    result = TruthfulnessEvaluator().compare(
        truth, predicted, other, probability, other_probability, ci=0.9, n_resamples=99, seed=2
    )

    options = {"confidence": 0.9, "n_resamples": 99, "seed": 2}
    assert result.accuracy == paired_bootstrap(accuracy_score, truth, predicted, other, **options)
    assert result.mcnemar == mcnemar_test(truth, predicted, other)
    delong = delong_test(truth, probability, other_probability, 0.9)
    assert result.auc is not None
    assert (result.auc.score_a, result.auc.score_b) == (delong.auc_a, delong.auc_b)
    assert (result.auc.difference, result.auc.p_value) == (delong.difference, delong.p_value)


def test_comparison_with_groups_rests_on_resampled_groups_alone():
    truth, predicted, probability = calibrated_rows()
    groups = np.arange(200) // 10

    result = TruthfulnessEvaluator().compare(
        truth, predicted, ~predicted, probability, 1 - probability, groups=groups, n_resamples=99
    )

    assert result.mcnemar is None
    assert result.accuracy == paired_bootstrap(
        accuracy_score, truth, predicted, ~predicted, groups=groups, n_resamples=99
    )
    assert result.auc is not None
    assert result.auc.score_a == pytest.approx(1 - result.auc.score_b)
    delong = delong_test(truth, probability, 1 - probability)
    assert result.auc.difference != delong.difference


def test_comparison_without_scores_or_of_many_classes_has_no_auc():
    truth, predicted, probabilities = scale_rows()
    ordinal = TruthfulnessEvaluator("ordinal", SCALE)

    assert ordinal.compare(truth, predicted, truth, n_resamples=9).auc is None
    of_many = ordinal.compare(truth, predicted, truth, probabilities, probabilities, n_resamples=9)
    assert of_many.auc is None
    assert of_many.accuracy.score_b == 1


def test_comparison_of_unlike_things_is_refused():
    with pytest.raises(ValueError, match="probabilities must be passed for both classifiers"):
        TruthfulnessEvaluator().compare([1, 0], [1, 0], [0, 0], [0.5, 0.5])
    with pytest.raises(ValueError, match="about the same rows and classes"):
        TruthfulnessEvaluator("multiclass").compare([1, 2, 3], [1, 2, 3], [1, 2, 4])
    with pytest.raises(ValueError, match="about the same rows and classes"):
        compare_classifiers(encode_predictions([1, 0], [1, 0]), encode_predictions([1, 1], [1, 0]))
