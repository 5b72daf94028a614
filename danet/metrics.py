"""Every number of a table: top-k, calibration, agreement, intervals."""

import numpy as np

from danet.datasets.dataset import Dataset
from danet.results import NearChance

UNKNOWN_SHARE = 0.05


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of samples whose label is among the k highest scores; scores (B, actions)."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def apart_from_copies(right: np.ndarray, copy: np.ndarray) -> dict:
    """How many of the B test samples show what a training sample shows, and the share that is right of the others, None
    where there are no others.

    right (B,) and copy (B,) bool.
    """
    share = float(right[~copy].mean()) if not copy.all() else None
    return {"copies_of_training": int(copy.sum()), "top1_without_copies": share}


def unknown_below(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """The highest score that all but UNKNOWN_SHARE of the rightly labelled samples reach; None where none is right.

    scores (B, actions), labels (B,).
    """
    right = scores.argmax(axis=1) == labels
    return float(np.quantile(scores.max(axis=1)[right], UNKNOWN_SHARE)) if right.any() else None


def chance_level(labels: np.ndarray) -> tuple[float, float]:
    """The accuracy of always saying the commonest of the labels (B,), and that up to which a network is near it.

    The second is two standard errors of guessing above the first, and chance (1 - chance) / 2 above it at least. That
    is 1 point of 50 equal labels and 12 of two: of many samples less can be told from chance, but is of no use. It is 1
    or more where so few labels, or such unequal ones, cannot tell anything from chance.
    """
    chance = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    variance = chance * (1 - chance)
    return chance, chance + max(2 * (variance / len(labels)) ** 0.5, variance / 2)


def near_chance(part: str, top1: float, labels: np.ndarray) -> NearChance | None:
    """An accuracy on a part with these labels (B,), where it is near chance; else, or where they cannot tell, None."""
    chance, bound = chance_level(labels)
    return NearChance(part=part, samples=len(labels), top1=top1, chance=chance) if top1 <= bound < 1 else None


CALIBRATION_BINS = 15


def calibration(scores: np.ndarray, labels: np.ndarray) -> dict:
    """How well the highest score of each sample says how often it is right; scores (B, actions), labels (B,).

    `error` is the expected calibration error over CALIBRATION_BINS bins of equal width (Guo et al., ICML 2017); `bins`
    are those that hold samples: how many, their mean score, and the share that is right.
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    bins = [
        {
            "samples": int((bin_of == index).sum()),
            "confidence": float(confidence[bin_of == index].mean()),
            "accuracy": float(right[bin_of == index].mean()),
        }
        for index in np.unique(bin_of)
    ]
    error = sum(each["samples"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(labels)
    return {"error": error, "bins": bins}


Pairs = list[tuple[str, str]]


def map_agreement(maps: np.ndarray, index_of: dict[str, int], pairs: Pairs, dataset: Dataset) -> dict | None:
    """Pearson's correlation of the maps (N, L) of the two views of a performance: its mean over all pairs.

    `other_actions` is the same for each first view and the second view of the next pair that shows another action, the
    level that says nothing, None where most pairs show one action. None where there are no pairs.
    """
    if not pairs:
        return None
    first, second = (np.array([index_of[name] for name in side]) for side in zip(*pairs, strict=True))
    actions = np.array([dataset.sample(name).action for name, _ in pairs])
    order = np.argsort(actions, kind="stable")
    shift = int(np.bincount(actions).max())  # so far along the order, no action meets itself
    unrelated = np.empty_like(second)
    unrelated[order] = second[np.roll(order, -shift)]
    centred = maps - maps.mean(axis=1, keepdims=True)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    same, different = (float((unit[first] * unit[each]).sum(axis=1).mean()) for each in (second, unrelated))
    return {
        "pairs": len(pairs),
        "same_performance": same,
        "other_actions": different if 2 * shift <= len(pairs) else None,
    }


RESAMPLES = 1000


def interval(shares: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `shares` (N,), in percent: the same each time.

    Efron, Annals of Statistics 1979. Samples are drawn one by one, so that people who are each seen many times make
    the true uncertainty larger than it says.
    """
    rng = np.random.default_rng(0)
    means = [shares[rng.integers(len(shares), size=len(shares))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return 100 * float(low), 100 * float(high)
