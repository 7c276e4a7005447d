"""Settings for the tests and for the examples in docstrings."""

import pytest

from sparse_transformers.models.attention_patterns import PATTERNS
from sparse_transformers.models.experts.routers import ROUTERS
from sparse_transformers.models.selectors import SELECTORS


@pytest.fixture(autouse=True)
def forget_registered_names():
    """Names that a test registers are unknown to the next one."""
    tables = (PATTERNS, ROUTERS, SELECTORS)
    before = [dict(table) for table in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)
