"""A survey holds what the analyzer finds, and its words and figures follow that."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from visits import visit

from sparse_transformers.experiments.dataset_analysis.figures import (
    draw_bias,
    draw_labels,
    draw_texts,
    draw_words,
    plot_boxes,
)
from sparse_transformers.experiments.dataset_analysis.measure import (
    ALL_TEXTS,
    DatasetSurvey,
    DatasetSurveySettings,
    one_answer_per_row,
    survey_datasets,
    teaching_tables,
)
from sparse_transformers.experiments.dataset_analysis.report import (
    describe_bias,
    describe_labels,
    describe_texts,
    describe_words,
    findings,
)
from sparse_transformers.utils.analysis.distribution import distribution_of
from sparse_transformers.utils.dataset_analysis import DatasetAnalyzer
from sparse_transformers.utils.records import from_json, to_json

SETTINGS = DatasetSurveySettings(synthetic_rows=400, n_shuffles=199, n_probe_shuffles=3, top_k=5)
CLEAN, LEAKY = "synthetic LIAR", "synthetic LIAR with history"
DRAW = (draw_labels, draw_texts, draw_bias, draw_words)
DESCRIBE = (describe_labels, describe_texts, describe_bias, describe_words)

QUESTIONS = pd.DataFrame(
    {
        "type": ["Adversarial", "Plain"],
        "question": ["Do cats bark?", "Is the moon made of cheese?"],
        "best_answer": ["No.", "It is rock."],
        "best_incorrect_answer": [None, None],
        "correct_answers": [["No.", "They meow.", "No."], ["It is rock."]],
        "incorrect_answers": [["Yes."], []],
    }
)


@pytest.fixture(scope="module")
def survey():
    return survey_datasets(visit(SETTINGS, tables=teaching_tables(SETTINGS, seed=2), seed=2))


def only(survey: DatasetSurvey, *names: str) -> DatasetSurvey:
    return replace(survey, datasets=tuple(each for each in survey.datasets if each.name in names))


def test_teaching_tables_differ_by_the_history_alone():
    clean, leaky = teaching_tables(SETTINGS, seed=2).values()
    extra = [name for name in leaky if name not in clean]
    assert len(extra) == 5
    pd.testing.assert_frame_equal(leaky.drop(columns=extra), clean)


def test_survey_is_what_the_analyzer_finds(survey):
    table = teaching_tables(SETTINGS, seed=2)[LEAKY]
    analyzer = DatasetAnalyzer(table, n_shuffles=199, n_probe_shuffles=3, top_k=5, seed=2)
    assert survey.datasets[1].analysis == analyzer.analyze(include_advanced=True)


def test_survey_survives_json(survey):
    text = json.dumps(to_json(survey), allow_nan=False)
    assert from_json(DatasetSurvey, json.loads(text)) == survey


def test_answers_become_rows_once_each():
    rows = one_answer_per_row(QUESTIONS)
    assert list(rows) == ["type", "question", "answer", "truthful"]
    assert rows[["answer", "truthful"]].values.tolist() == [
        ["No.", True],
        ["They meow.", True],
        ["It is rock.", True],
        ["Yes.", False],
    ]
    assert rows["question"].tolist() == [QUESTIONS["question"][n] for n in (0, 0, 1, 0)]


def test_tables_without_lists_or_with_labels_stay_as_they_are():
    for table in (QUESTIONS.drop(columns="incorrect_answers"), QUESTIONS.assign(label="x")):
        assert one_answer_per_row(table) is table


def test_words_name_the_leaking_table_and_clear_the_other(survey):
    [found] = findings(survey)
    assert found.startswith(f"A label leak was found in: {LEAKY}; none in: {CLEAN}. From the")
    probes = survey.datasets[1].analysis.bias.probes
    advantage = f"{probes.advantage.estimate:+.1%} [{probes.advantage.low:+.1%}"
    assert f"numbers of {LEAKY} alone" in found
    assert f"than from its {probes.rival}: {advantage}" in found
    text = describe_bias(survey)
    assert f"*{LEAKY}*: **Label leak through numbers.** From `" in text
    numbers = probes.find("numbers")
    assert f"| numbers | – | {numbers.accuracy}; {numbers.shuffled_high:.3f} |" in text
    swapped = [
        replace(each, name=name) for each, name in zip(survey.datasets, (LEAKY, CLEAN), strict=True)
    ]
    assert findings(replace(survey, datasets=tuple(swapped)))[0].startswith(
        f"A label leak was found in: {CLEAN}; none in: {LEAKY}."
    )
    assert findings(only(survey, CLEAN)) == [f"A label leak was found in: none; none in: {CLEAN}."]


def test_equal_findings_are_listed_once(survey):
    text = describe_labels(survey)
    assert f"*{CLEAN} and {LEAKY}*:" in text
    assert text.count("Labels are not balanced") == 1


def test_titles_about_lengths_follow_the_medians(survey):
    by_label = {label: words for label, (words, _) in survey.datasets[0].by_label().items()}
    assert len({each.median for each in by_label.values()}) == 1
    median = next(iter(by_label.values())).median
    assert draw_texts(survey).axes[0].get_title().endswith(f"all medians {median:.0f}")

    [dataset] = only(survey, CLEAN).datasets
    longer = {**by_label, "true": replace(by_label["true"], median=99.0)}
    advanced = replace(dataset.analysis.advanced, text_length_by_label={"statement": longer})
    changed = replace(dataset, analysis=replace(dataset.analysis, advanced=advanced))
    title = draw_texts(replace(survey, datasets=(changed,))).axes[0].get_title()
    assert title == f"{CLEAN}:\nmedians {median:.0f} to 99"


def test_figures_draw_every_label_probe_and_word(survey):
    [labels] = draw_labels(survey).axes  # the labels of both tables are the same
    shares = survey.datasets[0].analysis.label_analysis.label_proportions
    assert [bar.get_width() for bar in labels.patches] == [100 * each for each in shares.values()]
    assert [text.get_text() for text in labels.get_yticklabels()] == list(shares)
    assert labels.get_title().startswith(f"{CLEAN} and {LEAKY}:")

    associations, probes = draw_bias(survey).axes[2:4]
    bias = survey.datasets[1].analysis.bias
    shown = [100 * max(0.0, each.explained) for each in bias.associations[:6]]
    assert [bar.get_width() for bar in associations.patches[:6]] == shown
    accuracies = [100 * probe.accuracy.estimate for probe in bias.probes.probes]
    assert [bar.get_width() for bar in probes.patches[:4]] == accuracies
    shuffled = [100 * probe.shuffled_mean for probe in bias.probes.probes]
    assert [bar.get_width() for bar in probes.patches[4:]] == shuffled

    [words] = draw_words(survey).axes
    patterns = survey.datasets[0].analysis.text_analysis["statement"].common_patterns
    assert [text.get_text() for text in words.get_yticklabels()] == list(patterns.common_words)


def test_boxes_reach_over_the_quartiles():
    ax = plot_boxes({"a": distribution_of(range(101))}, title="t", xlabel="x")
    [box] = ax.patches
    corners = box.get_path().vertices[:, 0]
    assert (min(corners), max(corners)) == (25, 75)
    ends = {x for line in ax.get_lines() for x in line.get_xdata()}
    assert ends == {5, 25, 50, 75, 95}


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_any_number_of_tables_can_be_drawn_and_told(survey, n):
    datasets = tuple(replace(survey.datasets[nth % 2], name=f"table {nth}") for nth in range(n))
    several = replace(survey, datasets=datasets)
    for draw, describe in zip(DRAW, DESCRIBE, strict=True):
        figure = draw(several)
        titles = " ".join(ax.get_title() for ax in figure.axes)
        for each in datasets:
            assert each.name in titles
            assert each.name in describe(several) or describe is describe_texts


def test_tables_without_label_text_or_rows_enough_are_told_too():
    tables = {
        "no label": pd.DataFrame({"claim": ["It rains a lot.", "It snows."]}),
        "no text": pd.DataFrame({"party": ["a", "b"] * 20, "label": ["x", "y"] * 20}),
        "answers": QUESTIONS,
    }
    survey = survey_datasets(visit(SETTINGS, tables=tables))
    assert list(survey.datasets[0].by_label()) == [ALL_TEXTS]
    assert survey.datasets[1].main_text is None
    assert survey.datasets[2].main_text == "answer"
    # In the second table the label follows from the party; the first has nothing to leak.
    assert "found in: no text; none in: answers." in findings(survey)[0]
    for draw, describe in zip(DRAW, DESCRIBE, strict=True):
        draw(survey).canvas.draw()
        assert "nan" not in describe(survey)
        assert ": none." not in describe(survey)


def test_every_table_is_announced():
    said = []
    survey_datasets(
        visit(replace(SETTINGS, n_shuffles=9), tables={"tiny": QUESTIONS}, say=said.append)
    )
    assert said == ["looking through tiny, 4 rows"]
