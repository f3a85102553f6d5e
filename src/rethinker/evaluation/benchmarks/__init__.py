"""One module per benchmark: its files, its official prompt, its official rule."""
