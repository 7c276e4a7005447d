"""A training run in a process of its own, to be killed: FOLDER SETTINGS [--resume]."""

import json
import sys

from conftest import TinyByteModel, english_task
from sparse_transformers.training.config import TrainingConfig
from sparse_transformers.training.trainer import Trainer

if __name__ == "__main__":
    config = TrainingConfig(**json.loads(sys.argv[2]))
    trainer = Trainer(TinyByteModel(), english_task(), config, output_dir=sys.argv[1])
    trainer.train(resume="--resume" in sys.argv)
