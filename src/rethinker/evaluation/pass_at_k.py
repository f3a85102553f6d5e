"""pass@k: the chance that one of k answers to a question is right."""

from __future__ import annotations

import math


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The unbiased estimate from n answers, some of them correct: 1 − C(n − correct, k) / C(n, k).

    Source: Chen et al., arXiv 2107.03374, section 2.1.
    """
    assert 0 <= correct <= n, (n, correct)
    assert 1 <= k <= n, (n, k)
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)
