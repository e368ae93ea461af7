"""Submit I/Os for a program, which only has to write them into a ring: IORING_SETUP_SQPOLL.

Follows io_sq_thread() and __io_sq_thread() of io_uring/sqpoll.c. The thread belongs to the
program's process. It looks into the ring again and again, and sleeps when nothing was there for
sq_thread_idle; then it takes a system call to wake it, IORING_ENTER_SQ_WAKEUP. With iopoll it
looks for the ends as well.

A thread that waits for an end sleeps as it does without a ring.
"""

from collections import deque
from typing import TYPE_CHECKING

from pseudokern.drivers.io_poll import PollQueues
from pseudokern.drivers.io_task import IoTask
from pseudokern.kernel.cpumask import CpuId, CpuMask
from pseudokern.kernel.spin import SpinningTask

if TYPE_CHECKING:
    from pseudokern.drivers.io_program import IoProgram

WAKEUP_NS = 500  # the system call without what it takes the thread to wake up


class SqPollTask(SpinningTask):
    """iou-sqp-PID, the kernel's thread of one ring.

    queued  when the I/Os were written into it that the thread has not seen
    """

    def __init__(self, owner: "RingIoTask", pid: int, cpus_allowed: CpuMask) -> None:
        program = owner.program
        now_ns = program.kernel.timeline.now_ns
        super().__init__(program.sched, pid, f"iou-sqp-{owner.pid}", cpus_allowed, now_ns)
        self.tgid = owner.tgid
        self.queued: deque[int] = deque()
        self._owner = owner
        self._program = program
        self._queues = PollQueues(program.disk)
        self._worked_ns = now_ns

    def step(self) -> None:
        self.stop_spinning()
        program, now_ns = self._program, self._program.kernel.timeline.now_ns
        if self.queued:
            self._worked_ns = now_ns
            self._submit(self.queued.popleft())
        elif found := self._queues.poll():
            self._worked_ns = now_ns
            self.compute(system_ns=found * program.kernel.cost.softirq_item_ns)
        elif program.options["iopoll"] and self._owner.in_flight > self._owner.ended:
            self.spin()
        elif (left_ns := self._worked_ns + program.options["sq_thread_idle"] - now_ns) > 0:
            self.spin(left_ns)
        else:
            self.state = "S"

    def found(self) -> None:
        super().found()
        if self.state == "X":
            self._queues.poll()

    def _submit(self, asked_ns: int) -> None:
        program = self._program
        polls = program.options["iopoll"]
        request = program.submit(self._owner, CpuId(self.cpu), asked_ns)
        if polls:
            request.on_posted = self.found
            self._queues.add(request)
        self.compute(system_ns=program.options["submit"])


class RingIoTask(IoTask):
    """A thread that does not make system calls to submit. wakeups: but for those."""

    def __init__(self, program: "IoProgram", pid: int, number: int, sq_pid: int) -> None:
        super().__init__(program, pid, number)
        self.wakeups = 0
        self.poller = SqPollTask(self, sq_pid, program.place_of_poller(number))
        self.others = [self.poller]

    def submit(self) -> None:
        poller, options = self.poller, self.program.options
        poller.queued.append(self.program.kernel.timeline.now_ns)
        self.compute(user_ns=options["queue"])
        if poller.state == "S":
            self.wakeups += 1
            self.compute(system_ns=WAKEUP_NS)
            self.sched.wake(poller)
        else:
            poller.found()
