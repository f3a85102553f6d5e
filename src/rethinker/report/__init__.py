"""A run to look at: one page with its curves, its second looks and its responses; written once, or served live."""
