"""Run an XDP program on what the queues of a card receive.

Follows dev_xdp_attach() and bpf_prog_run_generic_xdp() of net/core/dev.c, and ndo_bpf() of the
drivers. A native program decides in the driver's poll, before there is a packet: a frame that it
drops costs nothing else. A generic one decides when the packet has been made.
"""

import errno
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from pseudokern.drivers.nic_napi import tuned
from pseudokern.drivers.rss import Flow
from pseudokern.drivers.xdp import (
    XDP_ABORTED,
    XDP_DROP,
    XDP_PASS,
    XDP_TX,
    XdpAction,
    XdpFrame,
)
from pseudokern.drivers.xdp_program import BUGS, XdpProgram
from pseudokern.kernel.napi_tuned import Passed
from pseudokern.kernel.percpu import PerCpu
from pseudokern.kernel.printk import Level
from pseudokern.kernel.ratelimit import RateLimit

if TYPE_CHECKING:
    from pseudokern.drivers.nic import Nic
    from pseudokern.drivers.rx_queue import RxQueue

Mode = Literal["native", "generic"]
NO_FLOW = (Flow(0, 0, 0, 0, 0), 0)

# What is counted of a queue. Frames that were to go out again are in tx, or in tx_full if the
# transmit ring had no room.
COUNTED = ("pass", "drop", "aborted", "tx", "tx_full")
_NUMBERS = frozenset(XdpAction)


class XdpOps(NamedTuple):
    """What a driver does when it is given a native program.

    restart   "reopen": its interrupts are freed and requested again; "rings": it makes new ones
    always    also if one program is exchanged for another
    most_mtu  the largest frame has to fit into a page, or a part of one, with what else is there
    too_large the errno if it does not
    grows     whether the MTU may become larger than that when there is a program
    receives  frames that the program took are among its rx_packets
    """

    restart: Literal["", "rings", "reopen"]
    most_mtu: int
    too_large: int = errno.EOPNOTSUPP
    always: bool = False
    grows: bool = False
    receives: bool = True


# e1000e has no native XDP.
XDP_OPS = {
    "igb": XdpOps("reopen", 3046, errno.EINVAL),
    "ice": XdpOps("rings", 3046),
    "mlx5": XdpOps("rings", 3498, errno.EINVAL, receives=False),
    "mlx4": XdpOps("rings", 3498, receives=False),
    "bnxt": XdpOps("reopen", 3502, always=True),
    "virtio-net": XdpOps("", 3506, always=True, grows=True),
    "vmxnet3": XdpOps("rings", 3506, grows=True),
}


class QueueXdp:
    """What the programs of its card have done with the frames of one queue.

    native, generic  by the names of COUNTED, in that mode
    bytes  of those that a native program did not let go on
    flows  of the queue, with their hashes: frames are of each in turn
    """

    __slots__ = ("_card", "_next", "_number", "_queue", "bytes", "flows", "generic", "native")

    def __init__(self, card: "NicXdp", queue: "RxQueue", number: int) -> None:
        self.native = dict.fromkeys(COUNTED, 0)
        self.generic = dict.fromkeys(COUNTED, 0)
        self.bytes = 0
        self.flows: list[tuple[Flow, int]] = []
        self._card = card
        self._queue = queue
        self._number = number
        self._next = 0

    @property
    def counts(self) -> dict[str, int]:
        """In either mode."""
        return {name: self.native[name] + self.generic[name] for name in COUNTED}

    @property
    def taken(self) -> int:
        """Frames that did not go on."""
        return _taken(self.counts)

    def run(self, this: PerCpu, packets: int, now_ns: int) -> Passed:
        """Decide about the frames of a poll, one after the other. Hot path of cards with XDP."""
        queue, card, cpu, number = self._queue, self._card, this.cpu, self._number
        feed, length = queue.feed, queue.whole_ring.frame_bytes
        arrived_ns = feed.taken_ns(packets) if feed is not None else []
        flows, place = self.flows or [NO_FLOW], self._next
        xdp_ns, item_ns = card.costs_ns
        is_generic, program = card.mode == "generic", card.program
        assert program is not None
        decide = program.run
        went_on: list[int] = []
        hashes: list[int] = []
        dropped = to_send = 0
        for nth in range(packets):
            flow, hashed = flows[(place + nth) % len(flows)]
            try:
                action = decide(XdpFrame(number, cpu, length, flow, hashed, now_ns))
                if action.__class__ is not XdpAction:
                    action = card.judge(action)
            except BUGS as error:
                action = card.raised(error)
            now_ns += xdp_ns
            if action is XDP_PASS:
                went_on.append(nth)
                hashes.append(hashed)
                now_ns += item_ns
                continue
            if action is XDP_DROP:
                dropped += 1
            elif action is XDP_TX:
                to_send += 1
                now_ns += xdp_ns
            if is_generic:
                now_ns += item_ns  # the packet was there already
        self._next = (place + packets) % len(flows)
        passed = len(went_on)
        sent = card.transmit(number, [length] * to_send, now_ns) if to_send else 0
        counts = self.generic if is_generic else self.native
        counts["pass"] += passed
        counts["drop"] += dropped
        counts["aborted"] += packets - passed - dropped - to_send
        counts["tx"] += sent
        counts["tx_full"] += to_send - sent
        if not is_generic:
            self.bytes += (packets - passed) * length
        return Passed(
            passed,
            packets if is_generic else passed,
            now_ns,
            [arrived_ns[nth] for nth in went_on] if arrived_ns else [],
            hashes if self.flows else (),
        )


class NicXdp:
    """The program of one card, or that it has none, and what programs have done since probe()."""

    def __init__(self, nic: "Nic") -> None:
        self.program: XdpProgram | None = None
        self.mode: Mode = "native"
        self.queues: dict[RxQueue, QueueXdp] = {}
        self.costs_ns = nic.kernel.cost.xdp_ns, nic.kernel.cost.softirq_item_ns
        self._nic = nic
        self._prog_id = 0
        self._warned = False
        self._limit = RateLimit(nic.kernel.log, "bpf_prog_run_xdp")

    @property
    def ops(self) -> XdpOps | None:
        """None: the driver has no native XDP."""
        return XDP_OPS.get(self._nic.options["style"])

    def attach(self, program: XdpProgram, mode: Mode | None = None) -> None:
        """dev_xdp_attach(), instead of the program that there was. mode: native if there is such.

        EOPNOTSUPP  the driver has no native XDP, or the MTU is too large for it
        EINVAL      the latter, for some drivers
        EEXIST      there is a program in the other mode
        """
        nic, ops = self._nic, self.ops
        chosen: Mode = mode or ("native" if ops else "generic")
        if self.program is not None and chosen != self.mode:
            said = "Native and generic XDP can't be active at the same time"
            raise OSError(errno.EEXIST, said)
        if chosen == "native":
            if ops is None:
                said = "Underlying driver does not support XDP in native mode"
                raise OSError(errno.EOPNOTSUPP, said)
            if nic.mtu > ops.most_mtu:
                raise OSError(ops.too_large, f"MTU {nic.mtu} is too large for XDP: {ops.most_mtu}")
        had, self.mode = self.program, chosen
        self.program = program
        self._prog_id += 1
        self._changed(is_swap=had is not None)

    def detach(self) -> None:
        """Let all frames pass again."""
        if self.program is not None:
            self.program = None
            self._changed(is_swap=False)

    def check_mtu(self, mtu: int) -> None:
        """EINVAL: that would be too large for the program."""
        if self.program is None or self.mode == "generic" or self.ops is None:
            return
        if mtu > self.ops.most_mtu and not self.ops.grows:
            raise OSError(errno.EINVAL, f"MTU {mtu} is too large for XDP: {self.ops.most_mtu}")

    def end(self) -> None:
        """The driver lets go of the card: dev_xdp_uninstall()."""
        self.program = None
        self.apply()

    def _changed(self, *, is_swap: bool) -> None:
        """Have the polls ask, or ask no more; the driver does to its queues what it has to."""
        nic, ops = self._nic, self.ops
        restarts = ops is not None and self.mode == "native" and (ops.always or not is_swap)
        if restarts and ops is not None and nic.is_up:
            if ops.restart == "reopen":
                nic.close()
                nic.open()
            elif ops.restart == "rings":
                nic.reset_rings()
        self.apply()

    def apply(self) -> None:
        """There are other queues, flows or programs than before."""
        nic = self._nic
        if self.program is None and not self.queues:
            return  # nor has there been one: it has only been asked for
        net_rx = tuned(nic.pc)
        flows: dict[RxQueue, list[tuple[Flow, int]]] = {}
        if nic.load is not None and nic.queues:
            for flow in nic.load.flows:
                hashed = nic.ethtool.flow_hash(flow)
                flows.setdefault(nic.queue_of(flow), []).append((flow, hashed))
        for number, queue in enumerate(nic.rings):
            xdp = self.queues.setdefault(queue, QueueXdp(self, queue, number))
            xdp.flows = flows.get(queue, [])
            if self.program is not None:
                net_rx.xdp[queue] = xdp
            else:
                net_rx.xdp.pop(queue, None)
        for _, desc in nic.sources:
            if desc is not None:
                desc.changed()

    def raised(self, error: BaseException) -> XdpAction:
        """The program has a bug: XDP_ABORTED, and a line in the log."""
        program = self.program
        assert program is not None
        text = f"XDP program {program.name}: {program.place_of(error)}; XDP_ABORTED"
        self._limit.printk(Level.WARNING, f"{self._nic.netdev_name}: {text}")
        return XDP_ABORTED

    def judge(self, action: object) -> XdpAction:
        """What a program has returned that is no XdpAction: a number will do."""
        if isinstance(action, int) and not isinstance(action, bool) and action in _NUMBERS:
            return XdpAction(action)
        self._warn_invalid(action)
        return XDP_ABORTED

    def _warn_invalid(self, action: object) -> None:
        """bpf_warn_invalid_xdp_action(): once."""
        if self._warned or self.program is None:
            return
        self._warned = True
        name, dev = f"{self.program.name} (id {self._prog_id})", self._nic.name
        self._nic.kernel.log.printk(
            Level.WARNING,
            f"Illegal XDP return value {action!r:.40} on prog {name} dev {dev}, "
            "expect packet loss!",
        )

    def totals(self) -> dict[str, int]:
        """What became of the frames that programs have seen, by the action's name."""
        queues = list(self.queues.values())
        return {name: sum(xdp.counts[name] for xdp in queues) for name in COUNTED}

    def results(self) -> list[str]:
        """Where frames are that did not go on, as lines of results/NAME.

        What became of those that were to be sent is told by nic_tx_results.py.
        """
        found = self.totals()
        return [
            f"dropped_xdp_drop {found['drop']}",
            f"dropped_xdp_aborted {found['aborted']}",
            f"xdp_tx {found['tx'] + found['tx_full']}",
        ]

    def transmit(self, number: int, sizes: list[int], now_ns: int) -> int:
        """Send frames back at the end of a poll; how many found room."""
        return self._nic.tx.xdp_xmit(number, sizes, now_ns)

    def counters(self, rings: Iterable["RxQueue"]) -> dict[str, int]:
        """What drivers count of these queues: they know of native programs only.

        xdp_drop has those that were aborted, too, as most drivers have no name for them.
        """
        counts = [self.queues[queue].native for queue in rings if queue in self.queues]
        found = {f"xdp_{name}": sum(each[name] for each in counts) for name in COUNTED}
        return {
            **found,
            "xdp_packets": sum(found.values()),
            "xdp_dropped": found["xdp_drop"],
            "xdp_drop": found["xdp_drop"] + found["xdp_aborted"],
        }

    def not_received(self, rings: Iterable["RxQueue"]) -> tuple[int, int]:
        """Frames and bytes that the driver has polled, but does not count as received."""
        if self.ops is None or self.ops.receives:
            return 0, 0
        found = [self.queues[queue] for queue in rings if queue in self.queues]
        return sum(_taken(xdp.native) for xdp in found), sum(xdp.bytes for xdp in found)

    def __str__(self) -> str:
        """As debug/pseudokern/xdp/NAME shows it."""
        lines = ["off" if self.program is None else f"{self.program} {self.mode}"]
        lines += [f"{name} {count}" for name, count in self.totals().items()]
        for number, queue in enumerate(self._nic.rings):
            if (xdp := self.queues.get(queue)) is not None:
                counts = " ".join(f"{name} {count}" for name, count in xdp.counts.items())
                lines.append(f"rx-{number} {counts}")
        return "\n".join(lines) + "\n"


def _taken(counts: Mapping[str, int]) -> int:
    return sum(counts.values()) - counts["pass"]
