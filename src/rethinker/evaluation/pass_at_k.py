"""Pass@k: the chance that at least one of k samples is right."""

from __future__ import annotations


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Estimate pass@k from n samples of one question without bias: 1 − C(n − correct, k) / C(n, k).

    As a product of k factors below 1, so no binomial coefficient overflows and nothing cancels but the last difference.
    Source: Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1.

    Args:
        n: Samples drawn.
        correct: How many of them are right.
        k: Samples that one would draw, at most n.
    """
    assert 0 <= correct <= n, (correct, n)
    assert 1 <= k <= n, (k, n)
    none_right = 1.0
    for drawn in range(k):
        none_right *= max(0, n - correct - drawn) / (n - drawn)
    return 1.0 - none_right
