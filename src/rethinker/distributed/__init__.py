"""One run over many processes: a sharded learner, its ranks, and how the driver calls them."""
