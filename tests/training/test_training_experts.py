"""What the trainer does for experts: their loss, their bias, and a run that is cut in two."""

import pytest
import torch
import torch.nn.functional as F

from sparse_transformers.models.experts.layer import expert_loss, record_experts
from sparse_transformers.models.experts.routers import AuxFreeRouter
from sparse_transformers.models.sparse_transformer import SparseTransformer
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.next_byte import NextByteTask
from sparse_transformers.training.trainer import Trainer

BIAS_STEP = 0.25


def moe_model(router="top_k", loss_weights=None, **options):
    experts = {"num_experts": 4, "router": router, "loss_weights": loss_weights}
    settings = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 8, "experts": experts}
    return SparseTransformer(SparseTransformerConfig(**settings | options))


def config(**settings):
    defaults = {"steps": 1, "batch_size": 8, "log_every": 1, "progress": False, "device": "cpu"}
    return TrainingConfig(**defaults | {"clip_norm": None} | settings)


def train(model, task, **settings):
    return Trainer(model, task, config(**settings)).train()


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def expert_outputs(model, batch):
    with record_experts(model) as outputs:
        logits = model(batch.input_ids)
    return logits, outputs


def test_experts_are_trained_by_their_loss_but_the_task_alone_is_reported(byte_task):
    weights = {"balance": 50.0, "z": 1.0}
    trained, expected = (moe_model(loss_weights=weights) for _ in range(2))
    result = train(trained, byte_task)

    batch = byte_task.batch(0, batch_size=8, seed=0)
    logits, outputs = expert_outputs(expected.train(), batch)
    loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
    (loss + expert_loss(outputs)).backward()
    row = next(row for row in result.metrics if "train_loss_nats" in row)
    assert row["train_loss_nats"] == pytest.approx(loss.item(), rel=1e-5)
    for name, gradient in gradients(expected).items():
        torch.testing.assert_close(gradients(trained)[name], gradient, msg=name)

    by_task_alone = moe_model(loss_weights={})
    alone = train(by_task_alone, byte_task)
    assert alone.metrics[1]["train_loss_nats"] == row["train_loss_nats"]
    gate = "blocks.0.feed_forward.router.gate.weight"
    assert not torch.allclose(gradients(by_task_alone)[gate], gradients(trained)[gate])
    # The validation says nothing of the routers either.
    assert alone.evaluations[0] == result.evaluations[0]


@pytest.mark.parametrize(
    ("router", "weights", "same"),
    [
        ("top_k", {}, True),
        ("aux_free", {"sequence_balance": 5.0, "z": 1.0}, True),  # means over sequences and tokens
        ("top_k", {"balance": 5.0}, False),  # a product of two means
    ],
)
def test_accumulated_parts_train_as_the_whole_batch_where_losses_are_means(
    byte_task, router, weights, same
):
    whole, parts = (moe_model(router, weights) for _ in range(2))
    train(whole, byte_task)
    train(parts, byte_task, grad_accumulation=4)
    found = [
        torch.cat([gradient.flatten() for gradient in gradients(model).values()])
        for model in (parts, whole)
    ]
    # Equal up to the order of a float32 sum over 128 targets.
    assert torch.allclose(*found, rtol=1e-4, atol=1e-7) is same


@pytest.mark.parametrize("grad_accumulation", [1, 4])
def test_bias_follows_the_counts_of_the_whole_batch_once_per_step(byte_task, grad_accumulation):
    router = {"name": "aux_free", "bias_step": BIAS_STEP}
    trained, untrained = (moe_model(router) for _ in range(2))
    train(trained, byte_task, grad_accumulation=grad_accumulation)
    batch = byte_task.batch(0, batch_size=8, seed=0)
    _, outputs = expert_outputs(untrained, batch)
    for name, output in outputs.items():
        counts = output.routing.counts.double()
        expected = BIAS_STEP * (counts.mean() - counts).sign()
        assert expected.any()
        found = trained.get_submodule(name).router
        assert found.bias.tolist() == expected.tolist()
        assert not found.counts.any()


def test_routers_take_their_step_after_the_optimizer(byte_task, monkeypatch):
    order = []
    monkeypatch.setattr(AuxFreeRouter, "after_optimizer_step", lambda self: order.append("router"))
    adamw_step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self, *args, **kwargs: (
            order.append("optimizer") or adamw_step(self, *args, **kwargs)
        ),
    )
    train(moe_model("aux_free"), byte_task, steps=3, grad_accumulation=2, eval_every=1)
    assert order == ["optimizer", "router", "router"] * 3


@pytest.mark.parametrize("router", ["aux_free", "noisy_top_k"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_resumed_run_equals_unbroken_run(byte_task, router, checkpointing, tmp_path):
    class DiesAtStep7(NextByteTask):
        def batch(self, step, *, batch_size, seed):
            if step == 7:
                raise KeyboardInterrupt
            return super().batch(step, batch_size=batch_size, seed=seed)

    options = {"name": router, "capacity_factor": 1.0}
    if router == "aux_free":
        options["bias_step"] = 0.01
    settings = config(steps=10, save_every=5, eval_every=3, gradient_checkpointing=checkpointing)
    unbroken, resumed = moe_model(options), moe_model(options)
    expected = Trainer(unbroken, byte_task, settings).train()
    fragile = DiesAtStep7(byte_task.corpus, 16, max_valid_windows=4)
    with pytest.raises(KeyboardInterrupt):
        Trainer(moe_model(options), fragile, settings, tmp_path).train()
    found = Trainer(resumed, byte_task, settings, tmp_path).train(resume=True)

    assert found.evaluations == expected.evaluations
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
    if router == "aux_free":
        assert all(block.feed_forward.router.bias.any() for block in unbroken.blocks)
