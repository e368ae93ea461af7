"""Give each number that an interrupt message carries a type of its own."""

from typing import NewType

Vector = NewType("Vector", int)  # an entry of an interrupt descriptor table
ApicId = NewType("ApicId", int)
RequesterId = NewType("RequesterId", int)  # who writes: bus << 8 | device << 3 | function

VECTORS = 256
