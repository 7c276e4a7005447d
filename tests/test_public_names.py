"""What `help()` shows of every public name: its fields, and an example that runs."""

import dataclasses
import inspect
import re

import pytest

import sparse_transformers as st

CALLABLE = sorted(name for name in st.__all__ if callable(getattr(st, name)))
RECORDS = [name for name in CALLABLE if dataclasses.is_dataclass(getattr(st, name))]


@pytest.mark.parametrize("name", CALLABLE)
def test_public_name_has_an_example(name):
    assert ">>>" in (inspect.getdoc(getattr(st, name)) or "")


@pytest.mark.parametrize("name", RECORDS)
def test_help_tells_what_every_field_is(name):
    record = getattr(st, name)
    documentation = inspect.getdoc(record) or ""
    for field in dataclasses.fields(record):
        if field.name.startswith("_"):
            continue
        line = re.search(rf"^ *{field.name}: (.+)", documentation, re.MULTILINE)
        assert line, f"help({name}) must say what {field.name} is"


@pytest.mark.parametrize("name", CALLABLE)
def test_signature_is_readable(name):
    made = getattr(st, name)
    functions = (
        [made]
        if not inspect.isclass(made)
        else [
            member
            for _, member in inspect.getmembers(made, inspect.isfunction)
            if member.__module__.startswith("sparse_transformers")
            and (not member.__name__.startswith("_") or member.__name__ == "__init__")
        ]
    )
    for function in functions:
        for parameter in inspect.signature(function).parameters.values():
            shown = inspect.formatannotation(parameter.annotation)
            assert len(shown) <= 120, f"{function.__qualname__}: {parameter.name}: {shown}"
