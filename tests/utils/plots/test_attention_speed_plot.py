"""What the benchmark's plots show, read from the drawn data."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sparse_transformers.utils.plots.attention_speed import plot_attention_times


def row(name, seq_len, median_ms, **changes):
    measured = {
        "implementation": name,
        "pattern": "LocalWindow(window_size=8)",
        "seq_len": seq_len,
        "direction": "forward",
        "median_ms": median_ms,
        "lower_quartile_ms": median_ms and median_ms - 1,
        "upper_quartile_ms": median_ms and median_ms + 2,
    }
    return {**measured, **changes}


def test_times_show_medians_quartiles_and_what_was_not_measured():
    rows = [
        row("dense SDPA", 64, 4.0),
        row("dense SDPA", 128, 16.0),
        row("peer", 64, 3.0),
        row("peer", 128, None),
        row("absent", 64, None),
        row("absent", 128, None),
    ]
    ax = Figure().subplots()

    assert plot_attention_times(pd.DataFrame(rows), ax=ax) is ax

    assert ax.get_xscale() == ax.get_yscale() == "log"
    lines = [container.lines for container in ax.containers]
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line, _, _ in lines]
    assert drawn == [([64, 128], [4.0, 16.0]), ([64], [3.0]), ([], [])]
    whiskers = lines[0][2][0].get_segments()
    assert [(segment[0][1], segment[1][1]) for segment in whiskers] == [(3.0, 6.0), (15.0, 18.0)]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["dense SDPA", "peer", "absent (not measured)", "LocalWindow(window_size=8)"]
    assert len({line.get_color() for line, _, _ in lines}) == 3


def test_an_implementation_keeps_its_colour_for_every_pattern_and_a_pattern_its_marker():
    rows = [row(name, 64, 4.0, pattern=pattern) for name in "AB" for pattern in "xy"]

    ax = plot_attention_times(pd.DataFrame(rows), ax=Figure().subplots())

    lines = [container.lines[0] for container in ax.containers]
    looks = [(line.get_color(), line.get_marker()) for line in lines]
    assert looks[0][0] == looks[1][0] != looks[2][0] == looks[3][0]
    assert looks[0][1] == looks[2][1] != looks[1][1] == looks[3][1]


def test_the_nth_patterns_of_all_implementations_share_a_marker_and_a_line_of_the_legend():
    rows = [row("A", 64, 4.0, pattern=pattern) for pattern in "xy"]
    rows += [row("B", 64, 4.0, pattern=pattern) for pattern in ("x+1", "y+1")]

    ax = plot_attention_times(pd.DataFrame(rows), ax=Figure().subplots())

    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B", "x", "y"]
    markers = [container.lines[0].get_marker() for container in ax.containers]
    assert markers[:2] == markers[2:]


def test_a_new_figure_is_made_when_no_axes_are_given():
    ax = plot_attention_times(pd.DataFrame([row("dense SDPA", 64, 4.0)]))
    try:
        assert ax.figure.number in plt.get_fignums()
    finally:
        plt.close(ax.figure)


def test_unusable_input_is_named():
    with pytest.raises(ValueError, match="one direction, got none"):
        plot_attention_times(pd.DataFrame())
    with pytest.raises(ValueError, match=r"one direction, got .*forward.*forward_backward"):
        both = [row("a", 1, 1.0), row("a", 1, 1.0, direction="forward_backward")]
        plot_attention_times(pd.DataFrame(both))
