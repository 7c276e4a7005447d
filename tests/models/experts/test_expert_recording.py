"""What leaves a model that has experts: their outputs, their loss, and the routers' own step."""

import pytest
import torch
from router_examples import hidden_states, layer
from torch import nn

from sparse_transformers.models.experts.layer import (
    expert_loss,
    record_experts,
    update_routers,
)
from sparse_transformers.models.experts.router import Router


def two_layers():
    return nn.Sequential(layer({"name": "top_k"}), nn.Flatten(0), layer({"name": "aux_free"}))


def test_recorded_outputs_are_the_last_ones_and_nothing_stays_behind():
    model = two_layers()
    with record_experts(model) as outputs:
        assert outputs == {}
        for seed in range(2):
            last = [model[index](hidden_states(seed=seed)) for index in (2, 0)]
    assert list(outputs) == ["2", "0"]  # as they ran
    assert outputs["2"] is last[0]
    assert outputs["0"] is last[1]
    model[0](hidden_states())
    assert outputs["0"] is last[1]
    assert not any(module._forward_hooks for module in model.modules())
    with record_experts(model[0]) as outputs:
        model[0](hidden_states())
    assert list(outputs) == [""]


def test_nothing_stays_behind_after_an_error():
    model = two_layers()
    with pytest.raises(KeyError), record_experts(model):
        raise KeyError
    assert not any(module._forward_hooks for module in model.modules())


def test_expert_loss_is_the_mean_over_layers():
    model = two_layers()
    with record_experts(model) as outputs:
        losses = [model[index](hidden_states()).loss for index in (0, 2)]
    torch.testing.assert_close(expert_loss(outputs), (losses[0] + losses[1]) / 2)
    assert expert_loss({}).item() == 0


def test_update_routers_lets_each_router_do_it_once(monkeypatch):
    done = []
    monkeypatch.setattr(Router, "after_optimizer_step", lambda self: done.append(self))
    model = nn.ModuleList([layer({"name": "switch"}), layer({"name": "hash"})])
    model.append(model[0])
    update_routers(model)
    assert done == [model[0].router, model[1].router]
