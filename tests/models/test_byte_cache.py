"""The cache that is bounded in bytes, and the layouts in it."""

from concurrent.futures import ThreadPoolExecutor

import torch

from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import BigBird, LocalWindow, RandomSparse
from sparse_transformers.models.byte_cache import ByteCache
from sparse_transformers.models.pattern_base import LAYOUT_CACHE


def test_the_values_used_last_are_kept():
    made = []

    def make(key):
        made.append(key)
        return key * 10

    cache = ByteCache(30, len)
    for key in ("a", "b", "c", "a", "d"):
        assert cache.get(key, lambda key=key: make(key)) == key * 10
    assert made == ["a", "b", "c", "d"]
    assert (len(cache), cache.n_bytes) == (3, 30)
    cache.get("a", lambda: make("a"))
    cache.get("b", lambda: make("b"))
    assert made == ["a", "b", "c", "d", "b"]


def test_a_value_above_the_bound_is_given_and_not_kept():
    cache = ByteCache(5, len)
    assert cache.get("x", lambda: "long value") == "long value"
    assert len(cache) == 0


def test_values_that_grow_are_measured_again():
    cache = ByteCache(4, len)
    first = cache.get(1, lambda: [0])
    cache.get(2, lambda: [0])
    first += [0, 0]
    cache.get(3, lambda: [0])
    assert cache.n_bytes == 2


def test_threads_get_the_same_values():
    cache = ByteCache(100, lambda value: 1)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: cache.get(n % 7, lambda: n % 7), range(500)))
    assert found == [n % 7 for n in range(500)]
    assert len(cache) == 7


def test_layouts_are_bounded_with_all_that_kernels_derive_from_them(monkeypatch):
    monkeypatch.setattr(LAYOUT_CACHE, "max_bytes", 1 << 20)
    query = torch.randn(1, 1, 200, 8)
    for number in range(40):
        for pattern in (RandomSparse(0.9, seed=number), BigBird(8, seed=number)):
            sparse_attention(query, query, query, pattern, backend="tiled")
            assert LAYOUT_CACHE.n_bytes <= 2 << 20
    layout = RandomSparse(0.9, seed=39).layout(200)
    assert layout.n_bytes > 200**2 * 4  # the masks as numbers to add are the largest part
    LAYOUT_CACHE.clear()


def test_a_layout_is_made_once():
    assert LocalWindow(9).layout(100) is LocalWindow(9).layout(100)
    assert LocalWindow(9).layout(100) is not LocalWindow(8).layout(100)
