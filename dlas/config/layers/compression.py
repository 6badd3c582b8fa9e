"""Layer 3: what makes the network cheaper."""

from __future__ import annotations

from dataclasses import dataclass

from dlas.plugins.registry import COMPRESSIONS


@dataclass(frozen=True)
class Compression:
    """Layer 3, a step of it. `module` offers `Settings`, a subclass of this one, `rehearse`, `compress` and
    `restore`."""

    name: str
    module: str | None = None
    """A name of dlas.plugins.registry.COMPRESSIONS, or a dotted path; null for that of the name."""

    @property
    def key(self) -> str:
        """Key of these settings in the config."""
        return f"compression.{self.name}"

    @property
    def implementation(self) -> str:
        """The dotted path of the module."""
        return COMPRESSIONS.path(self.name if self.module is None else self.module)

    @property
    def leaves_zeros(self) -> bool:
        """Whether the step leaves weights of zero that a sparse format need not store."""
        return False

    @property
    def data_type(self) -> str:
        """Data type of the weights after the step."""
        return "float32"
