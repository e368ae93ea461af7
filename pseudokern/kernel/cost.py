"""Say what interrupts cost, in simulated time.

A CPU that works is busy, and what arrives meanwhile waits in IRR: from these numbers come
latency, %irq and %soft in /proc/stat and receive livelock. They add up to 1-3 us an interrupt.
"""

from typing import NamedTuple


class CostModel(NamedTuple):
    """Nanoseconds of CPU time for each step. Every one can be set in the machine file, [cost].

    delivery_ns, eoi_ns  from the APIC to the first instruction; a write of EOI (x2APIC: an MSR).
        Intel SDM vol. 3, 11.8.5; measured with cyclictest-like loops on Xeon servers
    entry_ns, exit_ns    the kernel's entry and exit code with its mitigations
    handler_ns           a driver's hard handler that only schedules NAPI; drivers may differ
    softirq_ns           one softirq action, before its items
    softirq_item_ns      one packet or one completion: about 4 million a second on one core
    send_ns              sendmsg() of a packet, without what follows: about a million a second
    xmit_ns              a packet from the stack to the doorbell of the card: qdisc and driver
    tx_clean_ns          one packet that has left is taken out of the ring, and freed
    ipi_ns               from the ICR write to the acceptance by another CPU
    tick_ns              the scheduler's tick
    thread_ns            one run of a kernel thread, with its two context switches
    look_ns              one look of a loop in the kernel that polls, such as napi_busy_loop(): a
        poll of an empty ring with bottom halves off, and the clock. What comes is seen after one
    cache_ns, node_ns    what a packet costs its reader on top if another CPU of the node, or one
        of another node, has polled it: some five lines (sk_buff, shared info, headers) from that
        CPU's cache, at about 50 and 120 ns each; see Molka et al., ICPP 2015, for the orders
    xdp_ns    one frame that an XDP program decides about, with what the driver does for it: 24
        million frames a second are dropped by one core; see Hoiland-Jorgensen et al., CoNEXT 2018
    """

    delivery_ns: int = 200
    entry_ns: int = 300
    handler_ns: int = 800
    eoi_ns: int = 50
    exit_ns: int = 250
    softirq_ns: int = 400
    softirq_item_ns: int = 250
    send_ns: int = 700
    xmit_ns: int = 300
    tx_clean_ns: int = 100
    ipi_ns: int = 500
    tick_ns: int = 1500
    thread_ns: int = 3000
    look_ns: int = 100
    cache_ns: int = 250
    node_ns: int = 600
    xdp_ns: int = 40

    @property
    def overhead_ns(self) -> int:
        """Everything about one interrupt except its handler."""
        return self.delivery_ns + self.entry_ns + self.eoi_ns + self.exit_ns
