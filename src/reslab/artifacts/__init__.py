"""What is on disk: run folders, checkpoints, model files, logs and records."""
