"""From weighted experience to weights: collate, one forward per shared prompt, losses, the optimiser, the update."""
