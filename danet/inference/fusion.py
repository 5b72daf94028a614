"""Computes the scores of performances from one camera or several, with whatever computes the network.

Weights (`.safetensors`) are computed by torch; an exported network (`.onnx`) by ONNX Runtime, and torch is not loaded.
"""

from typing import Any, Protocol

import numpy as np

from danet.clips.sequences import ClipBatch, Sequences, crops_of


class Backend(Protocol):
    """What computes a trained network. `description` is what its file says of itself: actions, layout, settings."""

    description: dict[str, Any]

    def classify(self, batch: ClipBatch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities (N, A) of N pairs of the batch's samples, by index, and the attention (N, L) to each token.

        Of each pair the sample `own[n]` is labelled in the light of `other[n]`; alone, where both are the same. The
        attention is None for a network without maps.
        """


def multi_view_scores(backend: Backend, sequences: Sequences, performances: np.ndarray) -> np.ndarray:
    """(G, A) probabilities of G performances, each seen by n cameras; `performances` (G, n) are their samples.

    The mean over every view in the light of every view, itself included, as pairs of views are trained.
    """
    description = backend.description
    count, views = performances.shape
    samples = np.arange(performances.size).reshape(count, views)
    own = samples.repeat(views, axis=1)  # (G, n n)
    other = np.tile(samples, views) if description["uses_pairs"] else own
    scores = []
    for crop in crops_of(sequences.settings):
        batch = sequences.cut(performances.reshape(-1), None, crop)
        probabilities, _ = backend.classify(batch, own.reshape(-1), other.reshape(-1))
        scores.append(probabilities.reshape(count, views * views, -1).mean(axis=1))
    return over_crops(np.stack(scores), description["confidence_power"], description["temperature"])


def over_crops(scores: np.ndarray, confidence_power: float, temperature: float) -> np.ndarray:
    """(N, B, A) probabilities of N crops to (B, A): their mean, weighed by how confident each crop is.

    Recordings are cut narrowly or widely about their action, and a crop that misses it is not confident. The mean is
    then sharpened by the temperature (Guo et al., ICML 2017), which changes no label.
    """
    confidence = scores.max(axis=-1, keepdims=True) ** confidence_power
    mean = (scores * confidence).sum(axis=0) / confidence.sum(axis=0)
    if temperature != 1:
        mean = mean ** (1 / temperature)
        mean /= mean.sum(axis=-1, keepdims=True)
    return mean
