"""The benchmark's promises: right answers first, one run, a reason for each gap."""

import sys

import pytest
import torch

from sparse_transformers.efficiency import (
    attention_benchmark,
    attention_implementations,
    comparison,
)
from sparse_transformers.efficiency.attention_benchmark import ATTENTION, benchmark_attention
from sparse_transformers.efficiency.attention_implementations import (
    DENSE,
    IMPLEMENTATIONS,
    OURS,
    AttentionWorkload,
    Implementation,
)
from sparse_transformers.models.attention_ops import sparse_attention
from sparse_transformers.models.attention_patterns import (
    Causal,
    Dense,
    LocalWindow,
    PerHead,
    Strided,
)

FLEX, LOCAL, MASKED = "FlexAttention (compiled)", "local-attention", "masked SDPA"
SMALL = {"n_heads": 2, "head_dim": 16, "repeats": 1, "warmup": 0}


def rows_by_name(patterns, seq_lens, names, **options):
    options = {**SMALL, **options}
    benchmark = benchmark_attention(patterns, seq_lens, implementations=names, **options)
    return {row["implementation"]: row for row in benchmark.rows}


def reference_of(pattern):
    """An implementation that computes one pattern whatever it is asked for."""

    def build(asked, seq_len, device):
        return lambda q, k, v: sparse_attention(q, k, v, pattern, causal=True, backend="reference")

    return build


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
@pytest.mark.parametrize(
    "pattern", [LocalWindow(40), Strided(16), PerHead((LocalWindow(9), Dense()))], ids=repr
)
def test_implementations_that_give_the_right_answer_are_timed(pattern, direction):
    rows = rows_by_name([pattern], [200], [DENSE, OURS, MASKED], direction=direction)

    assert [row["not_measured"] for row in rows.values()] == [None, None, None]
    assert all(row["error"] < 1e-5 for row in rows.values())
    assert all(row["median_ms"] > 0 and row["speedup"] > 0 for row in rows.values())
    assert rows[DENSE]["speedup"] == rows[DENSE]["theoretical_speedup"] == 1.0
    assert rows[OURS]["pattern"] == rows[MASKED]["pattern"] == repr(pattern)
    assert 0 < rows[OURS]["fill"] <= 1
    assert rows[MASKED]["fill"] is None


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
@pytest.mark.parametrize(
    "computed", [LocalWindow(41), LocalWindow(39), Dense(), LocalWindow(1)], ids=repr
)
def test_another_answer_is_named_and_not_timed(computed, direction, monkeypatch):
    peer = Implementation(reference_of(computed), computes=lambda pattern: pattern)
    monkeypatch.setitem(IMPLEMENTATIONS, "peer", peer)

    rows = rows_by_name([LocalWindow(40)], [200], [DENSE, "peer"], direction=direction)

    what = "output" if direction == "forward" else "gradient of query"
    assert rows["peer"]["not_measured"].startswith(f"wrong: {what} off by")
    missing = ("error", "median_ms", "speedup", "sparse_efficiency")
    assert [rows["peer"][name] for name in missing] == [None] * 4
    assert rows[DENSE]["median_ms"] > 0


def test_an_implementation_that_sees_the_future_is_wrong(monkeypatch):
    def not_causal(pattern, seq_len, device):
        return lambda q, k, v: sparse_attention(q, k, v, pattern)

    monkeypatch.setitem(
        IMPLEMENTATIONS, "peer", Implementation(not_causal, computes=lambda pattern: pattern)
    )

    assert "wrong" in rows_by_name([LocalWindow(40)], [200], ["peer"])["peer"]["not_measured"]


def test_an_implementation_that_gives_nan_is_wrong(monkeypatch):
    def nan(pattern, seq_len, device):
        return lambda q, k, v: q * torch.nan

    monkeypatch.setitem(
        IMPLEMENTATIONS, "peer", Implementation(nan, computes=lambda pattern: pattern)
    )

    assert "wrong" in rows_by_name([LocalWindow(40)], [200], ["peer"])["peer"]["not_measured"]


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
@pytest.mark.parametrize("seq_len", [64, 200])  # with and without padding to whole windows
def test_local_attention_is_compared_with_the_window_it_computes(seq_len, direction, monkeypatch):
    pytest.importorskip("local_attention", reason="needs the `bench` extra")
    row = rows_by_name([LocalWindow(16)], [seq_len], [LOCAL], direction=direction)[LOCAL]

    assert row["not_measured"] is None
    assert row["pattern"] == "LocalWindow(window_size=17)"

    as_asked = Implementation(IMPLEMENTATIONS[LOCAL].build, computes=lambda pattern: pattern)
    monkeypatch.setitem(IMPLEMENTATIONS, LOCAL, as_asked)
    row = rows_by_name([LocalWindow(16)], [seq_len], [LOCAL], direction=direction)[LOCAL]
    assert row["not_measured"].startswith("wrong")


def test_local_attention_takes_windows_only_and_knows_a_causal_one():
    pytest.importorskip("local_attention", reason="needs the `bench` extra")
    patterns = [LocalWindow(16) & Causal(), Strided(8)]

    rows = benchmark_attention(patterns, [64], implementations=[LOCAL], **SMALL).rows

    assert rows[0]["not_measured"] is None
    assert rows[1]["not_measured"] == "local-attention has local windows only"


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "local_attention", None)

    rows = rows_by_name([LocalWindow(16)], [64], [DENSE, LOCAL])

    assert rows[LOCAL]["not_measured"] == "local-attention is not installed"
    assert rows[DENSE]["median_ms"] > 0


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_gives_the_right_answer_before_it_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)

    row = rows_by_name([LocalWindow(40)], [200], [FLEX])[FLEX]

    assert row["not_measured"] is None
    assert row["pattern"] == "LocalWindow(window_size=40)"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("no backward here\nand more about it", "NotImplementedError: no backward here"),
        ("raised exception ValueError('no backward')", "ValueError: no backward"),
    ],
)
def test_flex_attention_that_does_not_compile_is_named(message, reason, monkeypatch):
    seen = {}

    def fails_to_compile(function, **options):
        def compiled(*args, **kwargs):
            seen.update(options)
            try:
                raise NotImplementedError(message)
            except NotImplementedError as cause:
                raise RuntimeError("something went wrong") from cause

        return compiled

    monkeypatch.setattr(torch, "compile", fails_to_compile)

    row = rows_by_name([LocalWindow(40)], [200], [FLEX])[FLEX]

    assert row["not_measured"] == reason
    assert seen["fullgraph"] is True  # or it would fall back to all scores, unnoticed


def test_a_mask_of_all_pairs_is_made_for_short_sequences_only(monkeypatch):
    monkeypatch.setattr(attention_implementations, "LONGEST_MASK", 100)
    monkeypatch.setattr(attention_benchmark, "CHECKED_POSITIONS", 50)

    rows = benchmark_attention([LocalWindow(8)], [100, 101], implementations=[MASKED], **SMALL).rows

    assert rows[0]["not_measured"] is None
    assert rows[1]["not_measured"] == "a mask of all pairs is made up to 100 positions"


def test_an_implementation_that_fails_only_at_full_length_is_named_there(monkeypatch):
    def out_of_memory(pattern, seq_len, device):
        if seq_len > 64:
            raise MemoryError("no room")
        return reference_of(pattern)(pattern, seq_len, device)

    monkeypatch.setattr(attention_benchmark, "CHECKED_POSITIONS", 50)
    monkeypatch.setitem(
        IMPLEMENTATIONS, "peer", Implementation(out_of_memory, computes=lambda pattern: pattern)
    )

    rows = benchmark_attention([LocalWindow(8)], [64, 65], implementations=["peer"], **SMALL).rows

    assert [row["not_measured"] for row in rows] == [None, "MemoryError: no room"]


def test_all_implementations_of_a_length_take_turns_in_one_run(monkeypatch):
    runs = []
    real = comparison.time_interleaved

    def spy(candidates, *args, **kwargs):
        runs.append([(name, repr(workload.pattern)) for name, workload in candidates])
        return real(candidates, *args, **kwargs)

    monkeypatch.setattr(comparison, "time_interleaved", spy)
    windows = [LocalWindow(8), LocalWindow(9)]

    benchmark_attention(windows, [64, 65], implementations=[DENSE, OURS], **SMALL)

    # Dense attention, the same for both patterns, is timed once.
    names = [(DENSE, repr(windows[0])), (OURS, repr(windows[0])), (OURS, repr(windows[1]))]
    assert runs == [names, names]


def test_speedup_and_efficiency_follow_from_the_times(monkeypatch):
    times = {DENSE: (7.0, 8.0, 11.0), OURS: (1.0, 2.0, 5.0)}

    def clock(candidates, *args, **kwargs):
        return {candidate: times[candidate[0]] for candidate in candidates}

    monkeypatch.setattr(comparison, "time_interleaved", clock)

    row = rows_by_name([LocalWindow(10)], [100], [DENSE, OURS])[OURS]

    allowed = 55 + 90 * 10  # a triangle, then ten keys for each query
    assert (row["median_ms"], row["lower_quartile_ms"], row["upper_quartile_ms"]) == (2.0, 1.5, 3.5)
    assert row["speedup"] == 4.0
    assert row["theoretical_speedup"] == 5050 / allowed
    assert row["sparse_efficiency"] == pytest.approx(4.0 / (5050 / allowed))
    # By round 7, 4 and 2.2.
    assert (row["lower_speedup"], row["upper_speedup"]) == (pytest.approx(3.1), 5.5)


def test_without_dense_attention_there_is_no_speedup():
    row = rows_by_name([LocalWindow(10)], [64], [OURS])[OURS]

    assert row["median_ms"] > 0
    assert row["speedup"] is row["sparse_efficiency"] is None


def test_benchmark_prints_as_a_table_with_reasons(monkeypatch):
    monkeypatch.setitem(sys.modules, "local_attention", None)

    benchmark = benchmark_attention(
        [LocalWindow(10)], [64], implementations=[DENSE, OURS, LOCAL], **SMALL
    )

    title, heading, dense, ours, local = str(ATTENTION.table(benchmark)).splitlines()
    assert "1 × 2 heads × 16" in title
    assert heading.split()[:4] == ["positions", "implementation", "causal", "pattern"]
    assert "1.0× of 1.0×" in dense
    assert "LocalWindow(window_size=10)" in ours
    assert local.endswith("not measured: local-attention is not installed")
    assert benchmark.environment["torch"] == torch.__version__


@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
def test_workload_is_stored_by_position_and_repeatable(direction):
    first, again = (AttentionWorkload.draw(Dense(), 5, 3, 4, direction, seed=7) for _ in range(2))

    for name in ("query", "key", "value", "grad_output"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert getattr(first, name).shape == (1, 3, 5, 4)
        assert getattr(first, name).transpose(1, 2).is_contiguous()
    assert first.query.requires_grad == (direction == "forward_backward")
    assert not torch.equal(first.query, first.key)


def test_workload_runs_output_or_gradients():
    def attend(query, key, value):
        assert torch.is_grad_enabled() == query.requires_grad
        return 2 * query + 3 * key + 4 * value

    forward = AttentionWorkload.draw(Dense(), 5, 3, 4, "forward")
    output = forward.run(attend)["output"]
    assert torch.equal(output, 2 * forward.query + 3 * forward.key + 4 * forward.value)

    both = AttentionWorkload.draw(Dense(), 5, 3, 4, "forward_backward")
    gradients = both.run(attend)
    assert list(gradients) == [f"gradient of {name}" for name in ("query", "key", "value")]
    for factor, gradient in zip((2, 3, 4), gradients.values(), strict=True):
        assert torch.equal(gradient, factor * both.grad_output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": []}, "patterns must hold at least one entry, got none"),
        ({"seq_lens": []}, "seq_lens must hold at least one entry, got none"),
        ({"implementations": []}, "implementations must hold at least one entry, got none"),
        ({"seq_lens": [64, 0]}, "seq_lens must be a whole number of at least 1, got 0"),
        (
            {"direction": "backward"},
            "out of forward, forward_backward, got backward",
        ),
        (
            {"implementations": ["xformers"]},
            "must be out of dense SDPA, .*, got xformers",
        ),
        ({"n_heads": 0}, "n_heads must be a whole number of at least 1, got 0"),
        ({"n_heads": 3, "patterns": [PerHead((Dense(), Dense()))]}, r"PerHead \(2\), got 3"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
    ],
)
def test_unusable_arguments_are_named(options, message):
    arguments = {
        "patterns": [LocalWindow(4)],
        "seq_lens": [64],
        "implementations": [DENSE],
        **SMALL,
    }

    with pytest.raises(ValueError, match=message):
        benchmark_attention(**{"implementations": [DENSE], **arguments, **options})
