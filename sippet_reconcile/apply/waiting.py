"""Keep which calls of a plan are still to be attempted, and hand them out in plan order.

Input are places in the plan, output are some of them at a time. Those that come back,
because nothing was sent for them, are handed out again before any later one.
"""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Waiting"]


class Waiting:
    """Places that wait; each is out only once at a time.

    Examples
    --------
    >>> waiting = Waiting(range(5))
    >>> first = waiting.take(3)
    >>> waiting.put_back([1])
    >>> first, waiting.take(2), len(waiting)
    ([0, 1, 2], [1, 3], 1)
    """

    def __init__(self, places: Iterable[int]) -> None:
        self._fresh = array("q", places)
        self._n_taken = 0
        self._returned: list[int] = []

    def __len__(self) -> int:
        return len(self._returned) + len(self._fresh) - self._n_taken

    def take(self, n: int) -> list[int]:
        """Take the first `n` places out, or as many as there are."""
        # What came back was taken before, so it lies ahead of all that was not.
        taken = [heapq.heappop(self._returned) for _ in range(min(n, len(self._returned)))]
        more = self._fresh[self._n_taken : self._n_taken + n - len(taken)].tolist()
        self._n_taken += len(more)
        return taken + more

    def put_back(self, places: Iterable[int]) -> None:
        """Let places wait again."""
        for place in places:
            heapq.heappush(self._returned, place)
