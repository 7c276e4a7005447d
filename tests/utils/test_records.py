"""Records survive JSON, and a file that does not fit is refused."""

import json
from dataclasses import dataclass

import pytest

from sparse_transformers.utils.records import from_json, to_json


@dataclass(frozen=True)
class Point:
    length: int
    milliseconds: float | None


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
