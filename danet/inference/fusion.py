"""A trained network as the tools use it, whatever computes it: batches of clips in, probabilities out.

Weights (`.safetensors`) are computed by torch; an exported network (`.onnx`) by onnxruntime, and torch is not loaded.
"""

from typing import Protocol

import numpy as np

from danet.clips.sequences import Batch, Sequences, windows

SURENESS = 4  # the power of its highest score by which a window counts
SURER = 1.3  # the power that makes several encoders as sure together as they are right: they err apart


class Network(Protocol):
    """`about` is what the file says of itself: layout, actions, settings of preparation, clips and model."""

    about: dict

    def relate(self, batch: Batch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (N, actions) and joints' maps (N, L) of N pairs of the batch's samples, by index.

        Of each pair the sample `own[n]` is labelled in the light of `other[n]`; alone, where both are the same.
        """


def fused_scores(network: Network, sequences: Sequences, performances: np.ndarray) -> np.ndarray:
    """(G, actions) probabilities of G performances, each seen by n cameras; `performances` (G, n) are their samples.

    The mean over every view in the light of every view, itself included, as pairs of views are trained.
    """
    count, views = performances.shape
    samples = np.arange(performances.size).reshape(count, views)
    own = samples.repeat(views, axis=1)  # (G, n n)
    other = np.tile(samples, views) if network.about["model"]["cross_attention"] else own
    found = []
    for window in windows(sequences.settings):
        batch = sequences.cut(performances.reshape(-1), None, window)
        probabilities, _ = network.relate(batch, own.reshape(-1), other.reshape(-1))
        found.append(probabilities.reshape(count, views * views, -1).mean(axis=1))
    return over_windows(np.stack(found), len(network.about["model"]["encoders"]))


def over_windows(scores: np.ndarray, encoders: int) -> np.ndarray:
    """(W, B, actions) probabilities of W windows to (B, actions): their mean, weighed by how sure each window is.

    Recordings are cut narrowly or widely about their action, and a window that misses it is unsure. What a network of
    several encoders says is then made surer, which changes no label.
    """
    sure = scores.max(axis=-1, keepdims=True) ** SURENESS
    mean = (scores * sure).sum(axis=0) / sure.sum(axis=0)
    if encoders > 1:
        mean = mean**SURER
        mean /= mean.sum(axis=-1, keepdims=True)
    return mean
