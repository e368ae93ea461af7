"""Sort as the kernel does, with equal elements in the order that comes of it.

Follows lib/sort.c: a bottom-up heapsort that takes the two largest elements at a time. It is not
stable, and where its result shows (which NUMA node gets the first queues) the order of equal
elements shows too: two equal ones are exchanged.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def heapsort(items: list[T], key: Callable[[T], int]) -> None:
    """Sort items in place, ascending by key."""
    end = len(items)
    if end < 2:
        return
    for top in range(end // 2 - 1, -1, -1):
        _sift_down(items, top, end, key)
    while end > 3:
        end -= 1
        _swap(items, 0, end)
        second = 1 if key(items[1]) > key(items[2]) else 2
        end -= 1
        _swap(items, second, end)
        _sift_down(items, second, end, key)
        _sift_down(items, 0, end, key)
    end -= 1
    _swap(items, 0, end)
    if end == 2 and key(items[0]) > key(items[1]):
        _swap(items, 0, 1)


def _sift_down(items: list[T], top: int, end: int, key: Callable[[T], int]) -> None:
    """Go down from top to a leaf along the larger children, then back up to top's place."""
    place = top
    while (right := 2 * place + 2) < end:
        place = right - 1 if key(items[right - 1]) > key(items[right]) else right
    if right == end:
        place = right - 1
    while place != top and key(items[top]) >= key(items[place]):
        place = (place - 1) // 2
    above = place
    while above != top:
        above = (above - 1) // 2
        _swap(items, above, place)


def _swap(items: list[T], a: int, b: int) -> None:
    items[a], items[b] = items[b], items[a]
