"""A run's folder: its lock, its state on disk, its records and its report. Knows no model and no loop."""
