"""A list of bounded length that stays evenly spread over everything that was ever added. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Thinned(Generic[T]):
    """Keeps the first of all, and every n-th after it; n doubles, and half of `items` goes, whenever `most` is reached.

    most: at least 3.
    """

    most: int
    items: list[T] = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    @property
    def wants_next(self) -> bool:
        """Whether the next one will be kept, for whoever would have to make it first."""
        return self._seen % self._every == 0

    def add(self, item: T | None) -> None:
        """One more; None is as good where `wants_next` is false."""
        if self.wants_next:
            self.items.append(item)
        self._seen += 1
        if len(self.items) == self.most:
            del self.items[1::2]
            self._every *= 2
