"""What a run will need, from its configuration alone: parameters, memory by part, tokens, and an estimate of time."""
