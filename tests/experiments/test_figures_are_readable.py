"""The figures of the recorded runs can be read where they are 700 pixels wide."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from sparse_transformers.experiments.sections import SECTIONS
from sparse_transformers.experiments.tour_report import RESULTS, result_of

OUTPUTS = Path(__file__).parents[2] / "outputs"
RECORDED = [
    pytest.param(folder, section, id=f"{folder.name} {section.name}")
    for folder in (OUTPUTS, OUTPUTS / "published_claims", OUTPUTS / "evidence", OUTPUTS / "experts")
    for section in SECTIONS
    if (folder / section.name).is_dir()
]
WIDTH_INCHES, TEXT_POINTS = 9.2, 9  # 700 pixels are 76 to an inch: 9 points are 9 pixels high


def visible_texts(figure: Figure) -> list[Text]:
    texts = figure.findobj(lambda each: isinstance(each, Text) and each.get_visible())
    return [text for text in texts if text.get_text().strip()]


def names(texts: list[Text]) -> list[str]:
    return [text.get_text() for text in texts]


def titles_and_labels(figure: Figure) -> list[Text]:
    of_axes = [
        [
            ax.title,
            ax.xaxis.label,
            ax.yaxis.label,
            *(ax.get_legend().texts if ax.get_legend() else []),
        ]
        for ax in figure.axes
    ]
    return [text for each in of_axes for text in each if text.get_text()]


def is_cut(text: Text) -> bool:
    box, (width, height) = text.get_window_extent(), text.figure.canvas.get_width_height()
    return min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1


@pytest.mark.parametrize(("folder", "section"), RECORDED)
def test_texts_are_large_enough_whole_and_not_on_the_data(folder, section):
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    result = result_of(section, results)
    for part in section.parts:
        figure = part.draw(result)
        assert figure.get_figwidth() <= WIDTH_INCHES
        figure.draw_without_rendering()
        texts = visible_texts(figure)
        assert names([each for each in texts if each.get_fontsize() < TEXT_POINTS]) == []
        titles = [ax.get_title() or ax.get_title("left") for ax in figure.axes]
        assert [title for title in titles if title.endswith("?")] == []
        for ax in figure.axes:
            if (legend := ax.get_legend()) is not None:
                assert not legend.get_window_extent().overlaps(ax.get_window_extent()), part.file
        assert names([each for each in titles_and_labels(figure) if is_cut(each)]) == [], part.file
