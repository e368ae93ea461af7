"""Decide about each frame before the kernel makes a packet of it: what XDP programs are given.

A program is a Python function in a file of its own, the key `xdp` of a card or debug/xdp/NAME:

    from pseudokern.drivers.xdp import XDP_DROP, XDP_PASS, XdpFrame

    def drop_small(frame: XdpFrame) -> int:
        return XDP_DROP if frame.length < 128 else XDP_PASS

It runs in interrupt context. The actions are those of enum xdp_action in include/uapi/linux/bpf.h.
"""

from enum import IntEnum
from typing import NamedTuple

from pseudokern.drivers.rss import Flow


class XdpAction(IntEnum):
    """What becomes of a frame.

    ABORTED   dropped, as an error: what a program that raises comes to
    DROP      dropped
    PASS      goes on to the kernel
    TX        back out of the card that it came from
    REDIRECT  to another card or CPU; there are no maps, so it comes to ABORTED
    """

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


XDP_ABORTED = XdpAction.ABORTED
XDP_DROP = XdpAction.DROP
XDP_PASS = XdpAction.PASS
XDP_TX = XdpAction.TX
XDP_REDIRECT = XdpAction.REDIRECT


class XdpFrame(NamedTuple):
    """One frame, as its program sees it.

    queue    number of the receive queue
    cpu      that polls the queue
    length   bytes
    flow     whose it is: source, destination (IPv4 addresses as numbers), source_port,
             destination_port, protocol; all 0 for frames of the key `rate`
    hash     what the card has made of that
    time_ns  now, in nanoseconds since boot
    """

    queue: int
    cpu: int
    length: int
    flow: Flow
    hash: int
    time_ns: int
