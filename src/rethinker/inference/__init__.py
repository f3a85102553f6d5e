"""A model that answers whoever asks: `rethinker ask` and `rethinker serve`."""
