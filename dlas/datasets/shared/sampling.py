"""Choosing some of many images so that every class keeps its share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlas.interfaces.images import Labels


def stratified(labels: Labels, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Ascending indices of `count` labels, or of all where there are fewer; each class has its share, give or
    take one.

    Within its class an image stands at a random place, as a fraction of the class's size; the `count`
    smallest fractions are taken, ties in random order.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, sizes = np.unique(labels, return_counts=True)
    places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes] or [np.empty(0)])
    chosen = np.lexsort((random.random(len(labels)), places))[:count]
    return np.sort(by_class[chosen])
