"""Choose the queue of a frame by a hash of its flow: receive-side scaling.

Follows Microsoft's "Verifying the RSS hash calculation" for the Toeplitz hash, and
ethtool_rxfh_indir_default() of include/linux/ethtool.h for the table.
"""

import errno
from collections.abc import Sequence
from typing import NamedTuple

from pseudokern.sim.chance import Chance

KEY_BYTES = 40
HASH_BITS = 32


IPPROTO_UDP = 17


class Flow(NamedTuple):
    """An IPv4 connection, with the addresses as numbers."""

    source: int
    destination: int
    source_port: int
    destination_port: int
    protocol: int = IPPROTO_UDP

    @property
    def hashed(self) -> bytes:
        """What the hash is made of, in the order of the wire."""
        addresses = self.source.to_bytes(4, "big") + self.destination.to_bytes(4, "big")
        ports = self.source_port.to_bytes(2, "big") + self.destination_port.to_bytes(2, "big")
        return addresses + ports


def toeplitz(key: bytes, data: bytes) -> int:
    """For each bit of data that is set, the 32 bits of the key that begin at its place."""
    bits = int.from_bytes(key, "big")
    width = len(key) * 8
    found = 0
    for place, byte in enumerate(data):
        for bit in range(8):
            if byte >> (7 - bit) & 1:
                shift = width - HASH_BITS - (place * 8 + bit)
                found ^= bits >> shift & 0xFFFFFFFF
    return found


def spread(entries: int, queues: int, start: int = 0) -> list[int]:
    """The table of `-X equal N start M`: the queues in turn."""
    return [start + entry % queues for entry in range(entries)]


def weigh(entries: int, weights: Sequence[int], start: int = 0) -> list[int]:
    """That of `-X weight W0 W1 ...`: so many parts for each queue, one behind the other.

    EINVAL  all are 0
    """
    total = sum(weights)
    if not total:
        raise OSError(errno.EINVAL, "at least one weight must be non-zero")
    queue, until, table = -1, 0, []
    for entry in range(entries):
        while entry >= entries * until // total:
            queue += 1
            until += weights[queue]
        table.append(start + queue)
    return table


class Rss:
    """The key and the indirection table of one card. is_default: nobody has set the table."""

    def __init__(self, entries: int, chance: Chance, key_bytes: int = KEY_BYTES) -> None:
        self.key = chance.random.randbytes(key_bytes)
        self.table = [0] * entries
        self.is_default = True

    def queue_of(self, flow_hash: int) -> int:
        return self.table[flow_hash % len(self.table)]


def drawn_flows(count: int, chance: Chance) -> list[Flow]:
    """So many connections to one server."""
    draw = chance.random.randrange
    server = 0xC0A80001  # 192.168.0.1
    return [
        Flow(0x0A000000 | draw(1 << 24), server, 1024 + draw(64_512), 443) for _ in range(count)
    ]
