import json

import pytest

from sparse_transformers.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("grad_accumulation", 3),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("warmup_fraction", 1.5),
        ("final_lr_fraction", -0.1),
        ("weight_decay", -1.0),
        ("clip_norm", 0.0),
        ("precision", "float16"),
        ("log_every", 0),
        ("eval_every", 0),
        ("save_every", 0),
        ("seed", -1),
        ("time_limit_s", 0.0),
    ],
)
def test_setting_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(ValueError, match=name) as caught:
        TrainingConfig(**{name: value})
    assert str(value) in str(caught.value)


def test_settings_are_json_values():
    config = TrainingConfig(betas=(0.5, 0.6))
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()
    assert TrainingConfig(**config.to_dict() | {"betas": (0.5, 0.6)}) == config
