"""Training on bytes and on labelled sequences: data, tasks, the trainer and its checkpoints."""
