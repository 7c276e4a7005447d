import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from sparse_transformers.utils.plots.training import plot_training

ROWS = [
    {"step": 0, "valid_bits_per_byte": 8.0},
    {"step": 5, "train_bits_per_byte": 6.0, "learning_rate": 0.1},
    {"step": 10, "train_bits_per_byte": 4.0, "learning_rate": 0.2},
    {"step": 10, "valid_bits_per_byte": 4.5},
    {"step": 20, "train_bits_per_byte": 3.0, "learning_rate": 0.1},
    {"step": 20, "valid_bits_per_byte": 5.0},
]


@pytest.fixture
def axes():
    return Figure().subplots()


def test_curves_show_the_rows(axes):
    assert plot_training(ROWS, ax=axes) is axes
    train, valid, best = axes.get_lines()
    assert train.get_xydata().tolist() == [[5, 6.0], [10, 4.0], [20, 3.0]]
    assert valid.get_xydata().tolist() == [[0, 8.0], [10, 4.5], [20, 5.0]]
    assert best.get_xydata().tolist() == [[10, 4.5]]


def test_labels_name_unit_and_best(axes):
    plot_training(ROWS, ax=axes)
    assert axes.get_ylabel() == "loss (bits per byte)"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["training batches", "validation", "best validation: 4.500 after step 10"]


def test_other_units_are_named(axes):
    rows = [{"step": 1, "train_bits_per_label": 1.0}, {"step": 1, "valid_bits_per_label": 0.5}]
    assert plot_training(rows, ax=axes).get_ylabel() == "loss (bits per label)"


def test_new_figure_is_made_if_none_is_given():
    axes = plot_training(ROWS)
    plt.close(axes.figure)
    assert len(axes.get_lines()) == 3


@pytest.mark.parametrize("missing", ["train", "valid"])
def test_missing_curve_is_named(axes, missing):
    rows = [row for row in ROWS if f"{missing}_bits_per_byte" not in row]
    with pytest.raises(ValueError, match=f"{missing}_bits_per_<unit>"):
        plot_training(rows, ax=axes)
