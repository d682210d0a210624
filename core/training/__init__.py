"""The trainer: optimizers, schedules, checkpoints, run folders, exact resume."""
