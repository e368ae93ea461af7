"""Look for the ends of I/Os in the queues of a drive that have no interrupt.

Follows io_do_iopoll() of io_uring/rw.c.
"""

from typing import TYPE_CHECKING

from pseudokern.drivers.io_task import IoTask
from pseudokern.kernel.blk_mq import Disk, HardwareQueue, Request
from pseudokern.kernel.cpumask import CpuId

if TYPE_CHECKING:
    from pseudokern.drivers.io_program import IoProgram


class PollQueues:
    """The poll queues of a disk in which somebody has asked for something."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._queues: list[HardwareQueue] = []

    def add(self, request: Request) -> None:
        if request.queue not in self._queues:
            self._queues.append(request.queue)

    def poll(self) -> int:
        """Look once; how many ends there were."""
        return sum(self._disk.poll(queue) for queue in self._queues)


class PollingIoTask(IoTask):
    """A thread that looks for the ends of its I/Os itself: IORING_SETUP_IOPOLL, or RWF_HIPRI."""

    def __init__(self, program: "IoProgram", pid: int, number: int) -> None:
        super().__init__(program, pid, number)
        self._queues = PollQueues(program.disk)

    def submit(self) -> None:
        now_ns = self.program.kernel.timeline.now_ns
        request = self.program.submit(self, CpuId(self.cpu), now_ns)
        request.on_posted = self.found
        self._queues.add(request)
        self.compute(system_ns=self.program.options["submit"])

    def wait(self) -> None:
        if found := self._queues.poll():
            self.compute(system_ns=found * self.program.kernel.cost.softirq_item_ns)
        else:
            self.spin()

    def found(self) -> None:
        super().found()
        if self.state == "X":
            self._queues.poll()  # io_iopoll_try_reap_events() at its exit

    def io_ended(self, at_ns: int) -> None:
        """Somebody has found it: this thread, or another that polls the same queue."""
        self.ended += 1
        self.found()
