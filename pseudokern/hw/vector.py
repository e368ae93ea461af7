"""Give a number to each entry of an interrupt descriptor table."""

from typing import NewType

Vector = NewType("Vector", int)
ApicId = NewType("ApicId", int)

VECTORS = 256
