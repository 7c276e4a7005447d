"""Records survive JSON, and a file that does not fit is refused."""

import json
from dataclasses import dataclass, field

import pytest

from sparse_transformers.utils.records import from_json, to_json


@dataclass(frozen=True)
class Point:
    length: int
    milliseconds: float | None


@dataclass(frozen=True)
class Circle:
    radius: int
    colour: str = "blue"
    marks: tuple[Point, ...] = field(default_factory=lambda: (Point(1, None),))


@dataclass(frozen=True)
class Run:
    name: str
    points: tuple[Point, ...]
    by_name: dict[str, Point]
    best: Point | None
    options: dict[str, int]
    sizes: tuple[int, ...]


RUN = Run(
    name="local",
    points=(Point(64, 1.5), Point(128, None)),
    by_name={"first": Point(64, 1.5)},
    best=None,
    options={"window_size": 8},
    sizes=(1, 2),
)


def test_record_survives_json():
    assert from_json(Run, json.loads(json.dumps(to_json(RUN)))) == RUN


def test_plain_values_and_lists_of_records_become_json():
    assert to_json({1: [Point(64, None)]}) == {"1": [{"length": 64, "milliseconds": None}]}


@pytest.mark.parametrize(
    "value", [{"length": 64}, {"length": 64, "milliseconds": 1.0, "extra": 2}, [64, 1.0], "text"]
)
def test_other_fields_are_refused(value):
    with pytest.raises(ValueError, match="Point must have the fields length, milliseconds, got"):
        from_json(Point, value)


def test_missing_fields_have_their_defaults():
    assert from_json(Circle, {"radius": 3}) == Circle(3)
    assert from_json(Circle, {"radius": 3, "colour": "red"}) == Circle(3, "red")
    assert from_json(Circle, to_json(Circle(3, marks=()))) == Circle(3, marks=())


@pytest.mark.parametrize("value", [{}, {"colour": "red"}, {"radius": 3, "owls": 1}])
def test_field_without_a_default_must_be_there_and_others_must_not(value):
    with pytest.raises(ValueError, match="Circle must have the fields radius, colour, marks, got"):
        from_json(Circle, value)
