"""A thing that is too large to stand in a key by its content, and stands there by a digest of it."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Keyed(ABC):
    """A thing whose content has a digest: two with the same digest are interchangeable as inputs."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """The sha256 (hex) of all that others may read of it."""
