"""Take the short way for a queue that knows its frames by their times (kernel/feed.py).

The same as NapiGate, but however many frames a poll takes, nobody is called (fed_polls.py).
"""

from pseudokern.hw.cpu import Cpu
from pseudokern.hw.vector import Vector
from pseudokern.irq.action import IrqAction
from pseudokern.irq.desc import IrqDesc
from pseudokern.kernel.feed import Feed
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import NAPI_WEIGHT, CountedNapi
from pseudokern.x86.fed_polls import FedPolls
from pseudokern.x86.gate import EdgeGate, NapiGate, napi_of


class FedGate(NapiGate):
    """The short way of a queue with a feed; fed: its interrupts that meet nothing else."""

    __slots__ = ("fed",)

    def __init__(self, kernel: Kernel, desc: IrqDesc, action: IrqAction) -> None:
        super().__init__(kernel, desc, action)
        napi, feed = _fed(action)
        self.fed = FedPolls(kernel.cost, desc, napi, feed, self._cost_ns)

    def is_for(self, action: IrqAction) -> bool:
        return super().is_for(action) and self.fed.feed is _fed(action)[1]

    def install(self, cpu: Cpu, vector: Vector) -> None:
        super().install(cpu, vector)
        self.fed.install(cpu, self._this)

    def fire(self, now_ns: int) -> None:
        """One interrupt, and its poll if nothing else is going on on this CPU."""
        packets = self.fed.take(now_ns)
        if packets < 0:
            super().fire(now_ns)
        elif packets >= NAPI_WEIGHT:
            EdgeGate.fire(self, now_ns)  # through NET_RX, which knows when the poll begins

    @property
    def packets_to_fold(self) -> int:
        return self.polls + self.fed.packets

    def fold(self) -> None:
        super().fold()
        self.fed.fold()


def _fed(action: IrqAction) -> tuple[CountedNapi, Feed]:
    napi = napi_of(action)
    assert isinstance(napi, CountedNapi)
    assert napi.feed is not None
    return napi, napi.feed
