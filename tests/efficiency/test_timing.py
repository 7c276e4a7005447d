"""The clock: who is called when, and what is reported."""

import gc
import time

import pytest

from sparse_transformers.efficiency.timing import quartiles, time_interleaved


def test_variants_take_turns_and_the_first_place_rotates():
    calls = []
    variants = {name: (lambda name=name: calls.append(name)) for name in "abc"}

    timings = time_interleaved(variants, repeats=3, warmup=1)

    assert calls == list("abcbcacababc")
    assert list(timings) == ["a", "b", "c"]
    assert all(len(samples) == 3 for samples in timings.values())


def test_times_are_milliseconds_of_the_variant_itself():
    variants = {"short": lambda: time.sleep(0.002), "long": lambda: time.sleep(0.02)}

    timings = time_interleaved(variants, repeats=3, warmup=0)

    assert 2 <= min(timings["short"]) < 15
    assert 20 <= min(timings["long"]) < 100


def test_warm_up_is_not_reported():
    slow_first_call = [0.05]
    variants = {"compiles": lambda: time.sleep(slow_first_call.pop() if slow_first_call else 0)}

    samples_ms = time_interleaved(variants, repeats=3, warmup=1)["compiles"]

    assert quartiles(samples_ms)[1] < 40


def test_quartiles_follow_from_the_samples():
    assert quartiles((4.0, 1.0, 3.0, 2.0, 5.0)) == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_collector_rests_and_is_as_before_afterwards(was_enabled):
    states = []

    def fails():
        states.append(gc.isenabled())
        raise RuntimeError("variant")

    before = gc.isenabled()
    try:
        (gc.enable if was_enabled else gc.disable)()
        with pytest.raises(RuntimeError, match="variant"):
            time_interleaved({"fails": fails}, repeats=1, warmup=0)
        assert states == [False]
        assert gc.isenabled() == was_enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_progress_hears_of_every_call():
    heard = []

    time_interleaved({"a": int, "b": int}, repeats=2, warmup=1, progress=heard.append)

    assert sorted(heard) == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variants": {}}, "variants must name at least one"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"warmup": -1}, "warmup must not be negative, got -1"),
    ],
)
def test_unusable_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        time_interleaved(**{"variants": {"a": int}, **options})
