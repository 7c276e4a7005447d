"""A compiled or exported model gives what the model gives, whatever layouts were made before."""

import pytest
import torch
from model_examples import EXAMPLE_ATTENTION, config, ids, model
from torch._dynamo.testing import CompileCounterWithBackend

import sparse_transformers as st
from sparse_transformers.models.pattern_base import LAYOUT_CACHE

MODELS = {
    "local": {},
    "strided": {"attention": EXAMPLE_ATTENTION["strided"]},
    "mixed heads": {"attention": EXAMPLE_ATTENTION["mixed heads"]},
    "encoder": {"causal": False, "positions": "sinusoidal"},
    "classifier": {"causal": False, "num_classes": 3, "positions": "learned"},
    "selector": {"selector": {"name": "top_k", "top_k": 3}, "token_shift": True},
    "experts": {"experts": {"num_experts": 4, "router": "top_k"}},
}
compiled_models = pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS.keys())
traced = pytest.mark.unchecked_arrays  # the checks of annotations are not to be traced
# The compiler looks at gradients of tensors that have none, and at what it deprecates itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def fresh_compiler():
    """Neither graphs nor layouts of an earlier test."""
    torch.compiler.reset()
    LAYOUT_CACHE.clear()


def logits_of(result):
    return result if isinstance(result, torch.Tensor) else result.logits


def run(tested, *arguments):
    """Logits, and the gradients of a function of them."""
    for parameter in tested.parameters():
        parameter.grad = None
    logits = logits_of(tested(*arguments))
    logits.sin().sum().backward()
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in tested.parameters()]
    return [logits.detach(), *grads]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


@traced
@compiled_models
def test_compiled_model_equals_the_model(changes):
    tested = model(**changes)
    compiled = torch.compile(tested, backend="aot_eager")
    for _ in range(2):  # on a cold cache of layouts, and on a warm one
        assert_same(run(compiled, ids()), run(tested, ids()))


@traced
def test_lengths_may_change():
    tested = model(n_layers=1, attention=EXAMPLE_ATTENTION["strided"])
    tested(ids())
    compiled = torch.compile(tested, backend="aot_eager")
    for length in (5, 21, 40, 1):  # a second length makes the compiler expect others
        assert_same(run(compiled, ids(seq_len=length)), run(tested, ids(seq_len=length)))


@traced
def test_padding_and_documents_are_compiled_around():
    tested = model(attention="dense", causal=False)
    compiled = torch.compile(tested, backend="aot_eager")
    mask = torch.ones(2, 21, dtype=torch.bool)
    mask[0, :5] = False
    assert_same(run(compiled, ids(), mask), run(tested, ids(), mask))
    documents = st.Documents([0] * 10 + [1] * 11)
    torch.testing.assert_close(
        compiled(ids(), pattern=documents), tested(ids(), pattern=documents), rtol=0, atol=1e-11
    )


@traced
def test_what_is_between_the_attentions_is_compiled():
    tested = model()
    counter = CompileCounterWithBackend("aot_eager")
    torch.compile(tested, backend=counter)(ids())
    # Every matrix product but those of the attention itself is in a graph, which blocks share.
    linear = [
        node
        for graph in counter.graphs
        for node in graph.graph.nodes
        if "linear" in str(node.target)
    ]
    assert len(linear) == 6 + 1


@traced
def test_compiled_attention_equals_attention():
    def attend(query, pattern):
        return st.sparse_attention(query * 2, query, query + 1, pattern, causal=True) * 3

    compiled = torch.compile(attend, backend="aot_eager")
    for pattern in (st.LocalWindow(4), st.Strided(3), st.Documents([0, 0, 1, 1, 1] * 4)):
        for length in (20, 9):
            if isinstance(pattern, st.Documents) and length != 20:
                continue
            query = torch.randn(1, 2, length, 4, dtype=torch.double, requires_grad=True)
            results = []
            for function in (compiled, attend):
                output = function(query, pattern)
                results.append([output, *torch.autograd.grad(output.sin().sum(), query)])
            assert_same(*results)


@traced
def test_inductor_compiles_the_model():
    tested = st.SparseTransformer(config())
    compiled = torch.compile(tested)
    torch.testing.assert_close(compiled(ids()), tested(ids()))


@traced
@pytest.mark.parametrize("name", ["local", "strided", "mixed heads", "encoder", "classifier"])
def test_exported_model_equals_the_model(name):
    tested = model(**MODELS[name])
    length = torch.export.Dim("length", min=2, max=1000)
    program = torch.export.export(
        tested,
        (ids(),),
        dynamic_shapes={"input_ids": {1: length}},
        strict=False,
    )
    for n in (21, 40, 7):
        expected = logits_of(tested(ids(seq_len=n)))
        found = logits_of(program.module()(ids(seq_len=n)))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@traced
def test_padding_is_no_part_of_an_exported_model():
    with pytest.raises(ValueError, match=r"torch\.export takes sequences without padding"):
        torch.export.export(model(), (ids(), torch.ones(2, 21, dtype=torch.bool)), strict=False)
