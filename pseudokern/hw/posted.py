"""Collect interrupts in memory until somebody is told once: the posted-interrupt descriptor.

Follows the VT-d specification, 9.11 and 5.2.3: 64 bytes, of which 256 bits are one request for
each vector. Only the first request after the last look raises the notification.
"""

from pseudokern.hw.vector import ApicId, Vector

ALIGNMENT = 64  # of its address


class PostedDescriptor:
    """One descriptor.

    pir   posted-interrupt requests: bit n is vector n
    on    outstanding notification: whoever is notified has not looked yet
    sn    suppress notification, but for urgent requests
    nv, ndst   notification vector, and the APIC that gets it
    collapsed  requests that found their bit set
    """

    __slots__ = ("address", "collapsed", "ndst", "nv", "on", "pir", "sn")

    def __init__(self, address: int, *, nv: Vector, ndst: ApicId) -> None:
        if address % ALIGNMENT:
            raise ValueError(f"a posted-interrupt descriptor is 64-byte aligned, not {address:#x}")
        self.address = address
        self.pir = 0
        self.on = False
        self.sn = False
        self.nv = nv
        self.ndst = ndst
        self.collapsed = 0

    def post(self, vector: Vector, *, urgent: bool) -> bool:
        """Request vector. True: now the notification has to be sent."""
        bit = 1 << vector
        if self.pir & bit:
            self.collapsed += 1
        self.pir |= bit
        if self.on or (self.sn and not urgent):
            return False
        self.on = True
        return True

    def take(self) -> int:
        """Look: all requests, which are gone from here then; the next one notifies again."""
        self.on = False
        pir, self.pir = self.pir, 0
        return pir
