"""Colours differ for people who see all colours, and for those who do not see green."""

from itertools import combinations

import numpy as np
import pytest

from sparse_transformers.utils.plots.style import COLORS, REFERENCE_COLOR, STYLES

NORMAL = np.eye(3)
# Machado, Oliveira and Fernandes 2009, IEEE TVCG 15(6), table 1: deuteranopia, severity 1.
WITHOUT_GREEN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def cielab(color: str, seen: np.ndarray) -> np.ndarray:
    """Lightness, and two axes of colour, as somebody sees an sRGB colour (white point D65)."""
    rgb = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(seen @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_colours_are_measured_as_the_standard_says():
    assert cielab("#FFFFFF", NORMAL) == pytest.approx([100, 0, 0], abs=1e-6)
    assert cielab("#FF0000", NORMAL) == pytest.approx([53.24, 80.09, 67.20], abs=0.01)


@pytest.mark.parametrize("seen", [NORMAL, WITHOUT_GREEN], ids=["normal", "without green"])
@pytest.mark.parametrize(
    "colors",
    [[style.color for style in STYLES.values()], [*COLORS, REFERENCE_COLOR]],
    ids=["patterns", "variants"],
)
def test_all_colours_can_be_told_apart(colors, seen):
    distances = {
        pair: np.linalg.norm(cielab(pair[0], seen) - cielab(pair[1], seen))
        for pair in combinations(colors, 2)
    }
    assert min(distances.values()) > 15, min(distances, key=distances.__getitem__)
