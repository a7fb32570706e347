"""ROC AUC, and what is left when the unsure cases are not answered."""

import math
from collections.abc import Sequence


def roc_auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Returns the share of (positive, negative) pairs that the scores rank rightly, a tie half: 0..1.

    The Mann-Whitney statistic from ranks; nan where one of the classes is missing.
    """
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks = [0.0] * len(scores)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        for i in order[start:end]:
            ranks[i] = (start + 1 + end) / 2  # the mean of ranks start + 1 .. end
        start = end
    ones = sum(positive)
    zeros = len(scores) - ones
    if not ones or not zeros:
        return float("nan")
    above = sum(rank for rank, one in zip(ranks, positive, strict=True) if one)
    return (above - ones * (ones + 1) / 2) / (ones * zeros)


def selective(
    scores: Sequence[float], confidence: Sequence[float], abstain_below: float
) -> tuple[float, float]:
    """Returns (mean score of what is answered, coverage): the cases of at least that confidence.

    The mean is nan where nothing is answered (El-Yaniv and Wiener 2010).
    """
    answered = [
        score for score, sure in zip(scores, confidence, strict=True) if sure >= abstain_below
    ]
    coverage = len(answered) / len(scores) if scores else 0.0
    return (math.fsum(answered) / len(answered) if answered else float("nan")), coverage
