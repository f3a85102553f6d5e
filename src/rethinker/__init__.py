"""Rethinker: RL post-training that makes vision-language models reason better and look twice."""

__version__ = "0.1.0"
