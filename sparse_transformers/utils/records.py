"""Frozen dataclasses to JSON values and back, so that a figure can be drawn from a results file."""

import dataclasses
import types
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    import pandas as pd

Record = TypeVar("Record")


def to_json(record: Any) -> Any:
    """A dataclass, or tuples, lists and dicts of such, in types that JSON has."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        fields = dataclasses.fields(record)
        return {field.name: to_json(getattr(record, field.name)) for field in fields}
    if isinstance(record, Mapping):
        return {str(key): to_json(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [to_json(value) for value in record]
    return record


def from_json(kind: type[Record], value: Any) -> Record:
    """The dataclass `kind` that `to_json` turned into `value`.

    Fields may be JSON's own types, dataclasses, `tuple[x, ...]`, `dict[str, x]`, or any of these
    or None. One that is missing has its default, so that a file can be read that was written
    before the field was there.

    Raises:
        ValueError: a field without a default is missing, or one is unknown.
    """
    fields = get_type_hints(kind)
    if not isinstance(value, Mapping) or not _required(kind) <= value.keys() <= fields.keys():
        found = ", ".join(value) if isinstance(value, Mapping) else repr(value)
        raise ValueError(f"{kind.__name__} must have the fields {', '.join(fields)}, got {found}")
    return kind(**{name: _convert(fields[name], each) for name, each in value.items()})


def to_frame(records: Iterable[Any]) -> "pd.DataFrame":
    """Dataclasses of one kind as a tidy table: a row for each, a column for each field.

    Fields that are dataclasses themselves stay what they are.

    >>> from sparse_transformers.utils.metrics.significance import Interval
    >>> to_frame([Interval(1, 0, 2), Interval(3, 2, 4)]).query("low > 1").estimate.tolist()
    [3]
    """
    import pandas as pd

    rows = [
        {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
        for record in records
    ]
    return pd.DataFrame(rows)


def _required(kind: Any) -> set[str]:
    """The names of the fields without a default."""
    missing = dataclasses.MISSING
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is missing and field.default_factory is missing
    }


def _convert(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):  # "x or None": the None has been dealt with
        return _convert(next(each for each in arguments if each is not types.NoneType), value)
    if origin is tuple:
        return tuple(_convert(arguments[0], each) for each in value)
    if origin is dict:
        return {key: _convert(arguments[1], each) for key, each in value.items()}
    is_record = isinstance(hint, type) and dataclasses.is_dataclass(hint)
    return from_json(hint, value) if is_record else value
