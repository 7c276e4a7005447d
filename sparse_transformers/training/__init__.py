"""Training on bytes and on labelled sequences: data, tasks, trainer, checkpoints."""
