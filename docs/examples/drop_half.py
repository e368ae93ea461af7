"""Drop what comes from 10.128.0.0/9: half of the flows of a load."""

from pseudokern.drivers.xdp import XDP_DROP, XDP_PASS, XdpFrame


def drop_half(frame: XdpFrame) -> int:
    return XDP_DROP if frame.flow.source >> 23 == 10 << 1 | 1 else XDP_PASS
