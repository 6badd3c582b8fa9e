"""Conformance suites: whether an implementation does what its interface (`dlas.interfaces`) says.

    check_dataset(module, settings)
    check_network(factory, image_size)
    check_compression(module, settings, model, dataset, train, folder)
    check_algorithm(module, workloads)
    check_tuner(module, settings, tasks, target, folder)

For tests of your own: each is a plain function that raises AssertionError, with what is wrong, and does some
of the work that a run does. They need nothing that dlas does not need.
"""

from dlas.testing.algorithm import check_algorithm
from dlas.testing.compression import check_compression
from dlas.testing.dataset import check_dataset
from dlas.testing.network import check_network
from dlas.testing.tuner import check_tuner

__all__ = ["check_algorithm", "check_compression", "check_dataset", "check_network", "check_tuner"]
