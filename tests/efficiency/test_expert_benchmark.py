"""The benchmark of experts: right answers first, one run, a reason for each gap, and its files."""

import json
import sys
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from sparse_transformers.cli import main
from sparse_transformers.efficiency import comparison
from sparse_transformers.efficiency.benchmark_report import measured_with
from sparse_transformers.efficiency.expert_benchmark import (
    DENSE,
    EXPERTS,
    GROUPED,
    IMPLEMENTATIONS,
    LOOP,
    MIXTRAL_GROUPED,
    MIXTRAL_LOOP,
    OURS,
    ExpertWorkload,
    benchmark_experts,
)
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.utils.plots.relative_speed import plot_relative_speeds

SMALL = {"batch": 2, "seq_len": 24, "num_experts": 4, "repeats": 1, "warmup": 0}
OUR_OWN = [DENSE, OURS, LOOP, GROUPED]
MIXTRAL_MODULE = "transformers.models.mixtral.modeling_mixtral"
MIXTRAL = [MIXTRAL_LOOP, MIXTRAL_GROUPED]
both_directions = pytest.mark.parametrize("direction", ["forward", "forward_backward"])
both_kinds = pytest.mark.parametrize("kind", ["plain", "gated"])


def rows_by_name(names, kind="gated", d_model=16, **options):
    benchmark = benchmark_experts([d_model], [kind], implementations=names, **SMALL | options)
    return {row["implementation"]: row for row in benchmark.rows}


def needs_transformers():
    pytest.importorskip("transformers", reason="needs the `bench` extra")


@both_kinds
@both_directions
def test_implementations_that_give_the_right_answer_are_timed(kind, direction):
    rows = rows_by_name(OUR_OWN, kind, direction=direction)

    assert [row["not_measured"] for row in rows.values()] == [None] * len(OUR_OWN)
    assert all(row["error"] < 1e-5 for row in rows.values())
    assert all(row["median_ms"] > 0 and row["speedup"] > 0 for row in rows.values())
    assert rows[DENSE]["speedup"] == rows[DENSE]["upper_speedup"] == 1.0
    assert {(row["d_model"], row["d_ff"], row["kind"]) for row in rows.values()} == {(16, 32, kind)}


@both_directions
def test_mixtral_gives_the_right_answer_too(direction):
    needs_transformers()
    rows = rows_by_name(MIXTRAL, direction=direction)
    assert [row["not_measured"] for row in rows.values()] == [None, None]


@pytest.mark.parametrize("experts_implementation", ["eager", "grouped_mm"])
def test_our_layer_equals_mixtral_in_output_and_gradients(experts_implementation):
    """Written out, without what the benchmark uses to copy and compare."""
    needs_transformers()
    from transformers.models.mixtral.modeling_mixtral import MixtralConfig, MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=16,
        intermediate_size=24,
        num_local_experts=5,
        num_experts_per_tok=2,
        experts_implementation=experts_implementation,
    )
    theirs = MixtralSparseMoeBlock(config)
    ours = MoELayer(16, 5, {"name": "top_k", "top_k": 2}, d_ff=24, gated=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.copy_(torch.randn_like(weight) / 4)
        theirs.gate.weight.copy_(ours.router.gate.weight)
        theirs.experts.gate_up_proj[:, :24] = ours.experts.gate.transpose(1, 2)
        theirs.experts.gate_up_proj[:, 24:] = ours.experts.up.transpose(1, 2)
        theirs.experts.down_proj.copy_(ours.experts.down.transpose(1, 2))
    tokens, grad_output = torch.randn(2, 3, 7, 16)
    our_tokens, their_tokens = tokens.clone().requires_grad_(), tokens.clone().requires_grad_()
    our_output, their_output = ours(our_tokens).hidden, theirs(their_tokens)
    our_output.backward(grad_output)
    their_output.backward(grad_output)

    their_gate, their_up = theirs.experts.gate_up_proj.grad.transpose(1, 2).chunk(2, dim=-1)
    pairs = [
        (our_output, their_output),
        (our_tokens.grad, their_tokens.grad),
        (ours.router.gate.weight.grad, theirs.gate.weight.grad),
        (ours.experts.gate.grad, their_gate),
        (ours.experts.up.grad, their_up),
        (ours.experts.down.grad, theirs.experts.down_proj.grad.transpose(1, 2)),
    ]
    for mine, other in pairs:
        assert other.abs().max() > 0.1
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)  # single precision


def drawn(d_model=16, d_ff=24, *, seed=0, direction="forward", **options):
    sizes = {"gated": True, "num_experts": 5, "top_k": 3, "batch": 3, "seq_len": 5, **options}
    return ExpertWorkload.draw(d_model, d_ff, direction=direction, seed=seed, **sizes)


def test_dense_layer_has_the_weights_of_the_experts_of_a_token():
    for gated in (False, True):
        weights = drawn(gated=gated).weights
        dense, ours = (IMPLEMENTATIONS[name](weights, 3).layer for name in (DENSE, OURS))
        n_dense = sum(each.numel() for each in dense.parameters())
        assert n_dense == ours.num_active_parameters() - ours.router.gate.weight.numel()


def wrong(name, change):
    def build(weights, top_k):
        layer = IMPLEMENTATIONS[name](weights, top_k)
        return replace(layer, output=lambda hidden: change(layer.output(hidden)))

    return build


def one_token_off(output):
    changed = output.clone()
    changed[-1, -1] = output[0, 0]
    return changed


@both_directions
@pytest.mark.parametrize("name", [DENSE, OURS])
@pytest.mark.parametrize(
    "change",
    [one_token_off, lambda output: 1.01 * output, lambda output: output * torch.nan],
    ids=["one token", "scale", "nan"],
)
def test_an_implementation_with_another_answer_is_named_and_not_timed(
    name, change, direction, monkeypatch
):
    monkeypatch.setitem(IMPLEMENTATIONS, "peer", wrong(name, change))

    rows = rows_by_name([DENSE, "peer"], direction=direction)

    what = "output" if direction == "forward" else "gradient of tokens"
    assert rows["peer"]["not_measured"].startswith(f"wrong: {what} off by")
    assert rows["peer"]["median_ms"] is rows["peer"]["speedup"] is None
    assert rows[DENSE]["median_ms"] > 0


@pytest.mark.parametrize("weight", ["router", "gate", "up", "down"])
@pytest.mark.parametrize("name", [OURS, MIXTRAL_LOOP])
def test_every_gradient_is_checked(name, weight, monkeypatch):
    if name == MIXTRAL_LOOP:
        needs_transformers()

    def build(weights, top_k):
        layer = IMPLEMENTATIONS[name](weights, top_k)

        def twice(tensors):
            ours = layer.in_our_layout(tensors)
            return ours | {weight: 2 * ours[weight]}

        return replace(layer, in_our_layout=twice)

    monkeypatch.setitem(IMPLEMENTATIONS, "peer", build)
    rows = rows_by_name(["peer"], direction="forward_backward")
    reason = f"wrong: gradient of {weight} off by 1 of the largest number ("
    assert rows["peer"]["not_measured"].startswith(reason)


def test_a_wrong_choice_of_experts_is_seen(monkeypatch):
    def build(weights, top_k):
        return IMPLEMENTATIONS[OURS](weights | {"router": weights["router"].flip(0)}, top_k)

    monkeypatch.setitem(IMPLEMENTATIONS, "peer", build)
    assert "wrong: output" in rows_by_name(["peer"])["peer"]["not_measured"]


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, MIXTRAL_MODULE, None)

    rows = rows_by_name([DENSE, MIXTRAL_LOOP])

    assert rows[MIXTRAL_LOOP]["not_measured"] == "transformers is not installed"
    assert rows[DENSE]["median_ms"] > 0


def test_plain_experts_are_not_compared_with_gated_ones():
    needs_transformers()
    rows = rows_by_name(MIXTRAL, "plain")
    assert {row["not_measured"] for row in rows.values()} == {"experts of Mixtral are gated"}


def test_an_implementation_that_does_not_run_is_named():
    row = rows_by_name([GROUPED], d_model=6)[GROUPED]
    assert row["not_measured"].startswith("ValueError: grouped experts need")


def test_all_implementations_of_a_size_take_turns_in_one_run(monkeypatch):
    runs = []
    real = comparison.time_interleaved

    def spy(candidates, *args, **kwargs):
        runs.append([name for name, _ in candidates])
        return real(candidates, *args, **kwargs)

    monkeypatch.setattr(comparison, "time_interleaved", spy)
    benchmark = benchmark_experts(
        [8, 16], ["plain", "gated"], implementations=[DENSE, OURS], **SMALL
    )

    assert runs == [[DENSE, OURS]] * 4
    assert [(row["kind"], row["d_model"]) for row in benchmark.rows[::2]] == [
        ("plain", 8),
        ("plain", 16),
        ("gated", 8),
        ("gated", 16),
    ]


def test_speeds_follow_from_the_times_of_each_round(monkeypatch):
    times = {DENSE: (2.0, 8.0, 6.0, 40.0, 5.0), OURS: (2.0, 4.0, 12.0, 10.0, 5.0)}
    monkeypatch.setattr(
        comparison,
        "time_interleaved",
        lambda candidates, *args, **kwargs: {each: times[each[0]] for each in candidates},
    )

    row = rows_by_name([DENSE, OURS])[OURS]

    assert (row["lower_quartile_ms"], row["median_ms"], row["upper_quartile_ms"]) == (
        4.0,
        5.0,
        10.0,
    )
    assert row["tokens_per_second"] == 2 * 24 / 0.005
    # By round 1, 2, 0.5, 4 and 1; the medians' ratio would be 6 / 5.
    assert row["speedup"] == row["lower_speedup"] == 1.0
    assert row["upper_speedup"] == 2.0


def test_without_the_dense_layer_there_is_no_speedup():
    row = rows_by_name([OURS])[OURS]
    assert row["median_ms"] > 0
    assert row["speedup"] is row["lower_speedup"] is None


@both_directions
def test_workload_is_repeatable_and_of_the_right_size(direction):
    first, again, other = (
        drawn(64, 96, num_experts=4, seed=seed, direction=direction) for seed in (7, 7, 8)
    )
    assert torch.equal(first.hidden, again.hidden)
    assert not torch.equal(first.hidden, other.hidden)
    assert first.hidden.requires_grad == (direction == "forward_backward")
    sizes = {name: tuple(each.shape) for name, each in first.weights.items()}
    assert sizes == {"router": (4, 64), "up": (4, 64, 96), "down": (4, 96, 64), "gate": (4, 64, 96)}
    for name, inputs in (("up", 64), ("down", 96), ("gate", 64)):
        weight = first.weights[name]
        assert torch.equal(weight, again.weights[name])
        assert weight.std().item() == pytest.approx(inputs**-0.5, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_models": []}, "d_models must hold at least one entry, got none"),
        ({"kinds": []}, "kinds must hold at least one entry, got none"),
        ({"kinds": ["sparse"]}, "kinds must be out of plain, gated, got sparse"),
        ({"direction": "backward"}, "direction must be out of forward, forward_backward, got"),
        (
            {"implementations": ["megablocks"]},
            "implementations must be out of dense feed-forward, .*, got megablocks",
        ),
        ({"d_models": [0]}, "d_models must be a whole number of at least 1, got 0"),
        ({"expansion": 0}, "expansion must be"),
        ({"top_k": 5}, r"top_k must be at most num_experts \(4\), got 5"),
        ({"seq_len": 0}, "seq_len must be"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
    ],
)
def test_unusable_arguments_are_named(options, message):
    arguments = {"d_models": [8], "kinds": ["plain"], "implementations": [DENSE], **SMALL}
    with pytest.raises(ValueError, match=message):
        benchmark_experts(**arguments | options)


TINY = ["--d-models", "16", "--batch", "2", "--seq-len", "16", "--repeats", "2", "--quiet"]


def test_command_prints_tables_and_writes_results_tables_and_plot(tmp_path, capsys):
    folder = tmp_path / "new"
    arguments = [
        *TINY,
        "--num-experts",
        "4",
        "--implementations",
        DENSE,
        OURS,
        "--output",
        str(folder),
    ]

    assert main(["bench", "experts", *arguments]) == 0

    printed = capsys.readouterr().out
    assert "torch: " in printed and "threads: " in printed
    assert "Forward, 4 experts, top-2, 2 × 16 tokens" in printed
    assert "Forward + backward, 4 experts" in printed
    results = json.loads((folder / "expert_benchmark.json").read_text())
    assert [each["direction"] for each in results["benchmarks"]] == ["forward", "forward_backward"]
    assert [len(each["rows"]) for each in results["benchmarks"]] == [4, 4]
    tables = (folder / "expert_benchmark.md").read_text()
    assert tables == EXPERTS.render_markdown(folder / "expert_benchmark.json") + "\n"
    assert f"torch {torch.__version__}" in tables
    assert "| plain | 16 | 32 | dense feed-forward | " in tables
    assert (folder / "expert_benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--implementations", "megablocks"], "implementations must be out of"),
        (["--top-k", "9"], "top_k must be at most num_experts (8), got 9"),
        (["--device", "tpu"], "device must be"),
    ],
)
def test_bad_input_ends_with_one_line_and_no_results(arguments, message, tmp_path, capsys):
    assert main(["bench", "experts", *TINY, "--output", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_results(tmp_path):
    reasons = {
        "no json": "must be the results of a benchmark of experts",
        "[]": "must be the results of a benchmark of experts",
        '{"benchmarks": [{}]}': "Benchmark must have the fields direction, rows",
        '{"benchmarks": []}': "must hold times, got none",
    }
    for content, reason in reasons.items():
        (tmp_path / "file").write_text(content)
        with pytest.raises(ValueError, match=reason):
            EXPERTS.render_markdown(tmp_path / "file")


def test_tables_give_reasons_for_gaps(monkeypatch):
    monkeypatch.setitem(sys.modules, MIXTRAL_MODULE, None)
    benchmark = benchmark_experts([16], ["gated"], implementations=[DENSE, MIXTRAL_LOOP], **SMALL)
    reason = "not measured: transformers is not installed"
    table = EXPERTS.table(benchmark)
    assert str(table).splitlines()[-1].endswith(reason)
    assert table.to_markdown().splitlines()[-1].endswith(f"| {reason} |  |  |")


plot_speeds = partial(
    plot_relative_speeds,
    subject="Experts",
    case="{kind}, d_model {d_model}",
    note="dense: {tokens_per_second:,.0f} tokens/s",
)


def drawn_row(name, d_model, speedup, **changes):
    row = {
        "implementation": name,
        "kind": "gated",
        "d_model": d_model,
        "direction": "forward",
        "median_ms": speedup and 1 / speedup,
        "tokens_per_second": speedup and 1000 * speedup,
        "speedup": speedup,
        "lower_speedup": speedup and speedup - 0.1,
        "upper_speedup": speedup and speedup + 0.2,
    }
    return row | changes


def test_plot_shows_speedups_quartiles_and_gaps():
    rows = [
        *[drawn_row("dense", 8, 1.0), drawn_row("a", 8, 0.9), drawn_row("b", 8, None)],
        *[drawn_row("dense", 16, 1.0), drawn_row("a", 16, 0.7), drawn_row("b", 16, 0.5)],
    ]
    ax = plot_speeds(pd.DataFrame(rows), "dense", ax=Figure().subplots())

    widths = [[bar.get_width() for bar in container] for container in ax.containers]
    assert widths == [[0.9, 0.7], [0.0, 0.5]]
    assert [text.get_text() for text in ax.texts] == ["0.90", "0.70", "not measured", "0.50"]
    spans = [list(line.get_xdata()) for line in ax.lines[:-1]]
    assert spans == [pytest.approx(span) for span in ([0.8, 1.1], [0.6, 0.9], [0.4, 0.7])]
    assert list(ax.lines[-1].get_xdata()) == [1, 1]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [
        "gated, d_model 8\ndense: 1,000 tokens/s",
        "gated, d_model 16\ndense: 1,000 tokens/s",
    ]


def test_plot_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="one direction, got none"):
        plot_speeds(pd.DataFrame(), "dense")
    rows = [drawn_row("a", 8, 0.9), drawn_row("a", 8, 0.9, direction="forward_backward")]
    with pytest.raises(ValueError, match=r"one direction, got .*forward.*forward_backward"):
        plot_speeds(pd.DataFrame(rows), "dense")
    with pytest.raises(ValueError, match="an implementation besides 'dense'"):
        plot_speeds(pd.DataFrame([drawn_row("dense", 8, 1.0)]), "dense")


def test_machine_is_told_in_one_sentence():
    environments = [
        {"torch": "2.13", "accelerator": None, "threads": 2},
        {"torch": "2.13", "accelerator": None, "threads": 4},
    ]
    assert measured_with(environments) == "Measured with torch 2.13, threads 2 and 4."
