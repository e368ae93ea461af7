"""Be the drive behind a driver: its medium, its completion queues, and the interrupt of each.

Follows nvme_irq() and nvme_poll() of drivers/nvme/host/pci.c, and the same part of
drivers/ata/libahci.c: an interrupt ends all that it finds.

A drive comes to life with its first load. Until then its driver's plain handlers stay in place.
"""

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pseudokern.drivers.device import Device, IrqReturn
from pseudokern.drivers.intx import IntxSource
from pseudokern.drivers.io_load import IoLoad, IoTotals, show_io_load
from pseudokern.drivers.replaceable import ReplaceableHandler
from pseudokern.hw.completion_queue import Coalescing, CompletionQueue, Trigger
from pseudokern.hw.flash import Flash
from pseudokern.irq.action import Handler
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.spurious import symbol_of
from pseudokern.kernel.blk_mq import Disk, HardwareQueue, Request
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.kernel.delay import busy_wait_ns
from pseudokern.x86.msi_chip import message_of

KB_NS = 250.0  # 4 GB/s: four lanes of PCIe 3


class QueuePlan(NamedTuple):
    """A queue of the drive before it has a disk: its CPUs, and its interrupt if it has one.

    replace  puts another handler in the place of the one that looks after this queue
    """

    cpus: CpuMask
    trigger: Trigger | None = None
    replace: Callable[[Callable[[Handler], Handler]], None] | None = None


def message_plan(cpus: CpuMask, desc: IrqDesc, handler: Handler) -> QueuePlan:
    """A queue with a message of its own; handler is what was requested for it."""

    def replace(wrap: Callable[[Handler], Handler]) -> None:
        if isinstance(handler, ReplaceableHandler):
            handler.replace_handler(wrap)
            return
        action = desc.actions[0]
        action.handler = wrap(action.handler)
        desc.changed()

    return QueuePlan(cpus, lambda now_ns: message_of(desc).trigger_now(now_ns), replace)


def intx_plan(cpus: CpuMask, source: IntxSource) -> QueuePlan:
    """A queue whose interrupt is the INTx line."""
    return QueuePlan(cpus, source.trigger, source.replace_handler)


class BlockDrive:
    """A drive of a device, with one disk and one load."""

    def __init__(
        self,
        device: Device,
        plans: Sequence[QueuePlan],
        nr_requests: int,
        totals: IoTotals,
        coalescing: Coalescing | None,
    ) -> None:
        options, kernel = device.options, device.kernel
        self._device = device
        self._kernel = kernel
        self._flash = Flash(
            kernel.timeline,
            kernel.chance(f"{device.name}/medium"),
            channels=options["channels"],
            read_ns=options["read_time"],
            write_ns=options["write_time"],
            kb_ns=KB_NS,
            finished=self._finished,
        )
        self.completions = [
            CompletionQueue(kernel.timeline, plan.trigger, coalescing, number + 1)
            for number, plan in enumerate(plans)
        ]
        queues = [
            HardwareQueue(number, plan.cpus, is_polled=plan.trigger is None)
            for number, plan in enumerate(plans)
        ]
        self.disk = Disk(device.pc.block, self, queues, nr_requests)
        self.load = IoLoad(kernel, kernel.chance(f"{device.name}/load"), totals)
        has_rate = _has_rate(options["rate"])
        for plan, completions in zip(plans, self.completions, strict=True):
            if plan.replace is not None:
                plan.replace(_wrapper(self, completions, has_rate=has_rate))

    def queue_rq(self, request: Request) -> None:
        self._flash.start(request, request.size_kb, is_write=request.is_write)

    def poll(self, queue: HardwareQueue) -> int:
        """nvme_poll(): whoever looks finds what is there, also of others."""
        at_ns, item_ns = self._kernel.timeline.now_ns, self._kernel.cost.softirq_item_ns
        found = self.completions[queue.number].take()
        for request in found:
            at_ns += item_ns
            self.disk.end(request, at_ns)
        return len(found)

    def drain(self, queue: HardwareQueue) -> None:
        """Time stands still while a CPU goes down, so what is under way ends now."""
        left = self.completions[queue.number].take()
        left += self._flash.take(lambda request: request.queue is queue)
        for request in left:
            self.disk.end(request, self._kernel.timeline.now_ns)

    def remove(self) -> None:
        """The driver lets go; what has not ended is lost."""
        self.load.stop()
        self.disk.abandon()
        for completions in self.completions:
            completions.take()
        self._flash.take(lambda _request: True)
        self.load.lose(self.load.totals.in_flight, "removed")

    def reap(self, completions: CompletionQueue) -> int:
        """End what has been posted, in an interrupt; how many there were."""
        kernel, cost = self._kernel, self._kernel.cost
        at_ns = kernel.timeline.now_ns + cost.delivery_ns + cost.entry_ns
        requests = completions.take()
        for request in requests:
            at_ns += cost.softirq_item_ns
            self.disk.complete(request, at_ns)
        if requests:
            self._take_time(len(requests) * cost.softirq_item_ns)
        return len(requests)

    def _take_time(self, duration_ns: int) -> None:
        kernel, this = self._kernel, self._kernel.this
        if self._device.pc.irqs.force_irqthreads:
            busy_wait_ns(kernel, duration_ns)
            return
        kernel.occupy(this, duration_ns)
        this.hardirq_ns += duration_ns

    def _finished(self, request: Request) -> None:
        completions = self.completions[request.queue.number]
        completions.post(request)
        if not completions.is_polled:
            return
        if request.on_posted is not None:
            request.on_posted()
        else:
            self.poll(request.queue)


class _Interrupt:
    """The handler of one queue: its completions first, then those of the device's `rate`."""

    __slots__ = ("_completions", "_drive", "_handler", "_has_rate")

    def __init__(
        self, drive: BlockDrive, completions: CompletionQueue, handler: Handler, *, has_rate: bool
    ) -> None:
        self._drive = drive
        self._completions = completions
        self._handler = handler
        self._has_rate = has_rate

    @property
    def symbol(self) -> str:
        """What the kernel log calls the handler."""
        return symbol_of(self._handler)

    def __call__(self) -> IrqReturn:
        if self._drive.reap(self._completions):
            return IrqReturn.HANDLED
        return self._handler() if self._has_rate else IrqReturn.NONE


def _wrapper(
    drive: BlockDrive, completions: CompletionQueue, *, has_rate: bool
) -> Callable[[Handler], Handler]:
    return lambda handler: _Interrupt(drive, completions, handler, has_rate=has_rate)


def _has_rate(rate: float | tuple[float, ...]) -> bool:
    return any(rate) if isinstance(rate, tuple) else bool(rate)


class DriveLoad:
    """What a storage device adds to be loaded: a drive that is made when there is something to do.

    plan  says which queues the driver has set up; ENODEV if it has none
    """

    def __init__(
        self,
        device: Device,
        plan: Callable[[], Sequence[QueuePlan]],
        nr_requests: int,
        coalescing: Coalescing | None = None,
    ) -> None:
        self.totals = IoTotals()
        self.drive: BlockDrive | None = None
        self._device = device
        self._plan = plan
        self._nr_requests = nr_requests
        self._coalescing = coalescing

    def get(self) -> BlockDrive:
        """The drive; ENODEV: no driver has it."""
        if self.drive is None:
            plans = self._plan()
            if not plans:
                raise OSError(errno.ENODEV, f"{self._device.name} has no driver; bind it first")
            self.drive = BlockDrive(
                self._device, plans, self._nr_requests, self.totals, self._coalescing
            )
        return self.drive

    def remove(self) -> None:
        if self.drive is not None:
            self.drive.remove()
            self.drive = None

    def coalescing_changed(self) -> None:
        """The host has set other rules for interrupts."""
        for completions in self.drive.completions if self.drive else []:
            completions.changed()

    def set(self, options: Mapping[str, Any] | None) -> None:
        """Begin a load, or end it with None.

        EINVAL      neither depth nor rate, or both
        EOPNOTSUPP  it shall be polled, and there is no poll queue
        """
        if options is None:
            if self.drive is not None:
                self.drive.load.stop()
            return
        if bool(options["depth"]) == bool(options["rate"]):
            raise OSError(errno.EINVAL, f"load of {self._device.name}: give depth or rate")
        drive = self.get()
        if options["polled"]:
            drive.disk.check_can_poll(self._device.name)
        drive.load.begin(drive.disk, options)

    def show(self) -> str:
        return "off\n" if self.drive is None else show_io_load(self.drive.load)

    def show_results(self) -> str:
        """Counts since boot; of the present load, the latencies from submission to end."""
        totals, drive = self.totals, self.drive
        waiting = drive.disk.waiting if drive else 0
        lines = [
            f"offered {totals.offered}",
            f"completed {totals.completed}",
            f"in_flight {totals.in_flight - waiting}",
            f"waiting {waiting}",
            *(f"lost_{why} {totals.lost[why]}" for why in ("again", "removed")),
            f"interrupts {sum(c.interrupts for c in drive.completions) if drive else 0}",
        ]
        latency = totals.latency
        lines += [
            f"latency_{name} {latency_ns / 1000:.1f} us"
            for name, latency_ns in (
                ("mean", latency.mean_ns),
                *((f"p{percent:g}", latency.percentile_ns(percent)) for percent in (50, 99, 99.9)),
                ("max", latency.most_ns),
            )
        ]
        return "\n".join(lines) + "\n"
