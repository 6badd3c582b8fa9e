"""One row of a bundle's table of layers, as the analysis sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One kernel call of the network; the fields from `workload` on are empty for what is no convolution."""

    layer: str
    """Name of the layer in the PyTorch network, or of the kernel for what is no convolution."""
    time_ms: float
    workload: str = ""
    data_type: str = ""
    """Data type that the kernel computes in: "float32", "float16" or "int8"."""
    algorithm: str = ""
    requested_algorithm: str = ""
    fallback_reason: str = ""
    schedule: str = "untuned"
    """"tuned" or "untuned"."""
    schedule_reason: str = ""
    untuned_ms: float | None = None
    """Milliseconds of a call in the untuned network, as timed beside the tuned one."""
    tuned_ms: float | None = None
    macs: int | None = None
    parameters: int | None = None
    sparsity: float | None = None
    """Fraction of the weights that are zero."""
    signal_db: float | None = None
    """Decibels by which the layer's signal exceeds the noise of int8: see `dlas.models.fidelity`."""
    format: str = ""
    """Format of the weights."""
    weight_bytes: int | None = None
    """Bytes that the kernel reads for weights: values, and the indices of a sparse format."""
