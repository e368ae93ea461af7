"""Be a program that reads and writes a drive, and waits for it.

Each thread keeps so many I/Os under way: it submits until there are enough, and sleeps (D) until
one has ended. A CPU that is idle while a thread that fell asleep there waits is in iowait. With
iopoll it does not sleep, but looks again and again: no interrupt, and no CPU time for others.

An I/O that a driver let go of never ends; its thread waits for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pseudokern.drivers.application import Application
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.kernel.blk_mq import Disk, HardwareQueue, Request
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.spin import SpinningTask
from pseudokern.sim.agenda import Agenda
from pseudokern.x86.pc import Pc


class IoTask(SpinningTask):
    """One thread. ended: I/Os that it has not looked at yet."""

    def __init__(self, program: "IoProgram", pid: int, number: int) -> None:
        start_ns = program.kernel.timeline.now_ns
        super().__init__(program.sched, pid, program.name, program.place(number), start_ns)
        self.in_flight = 0
        self.ended = 0
        self.program = program

    def step(self) -> None:
        self.stop_spinning()
        if self.ended:
            self.ended -= 1
            self.in_flight -= 1
            self.program.completed += 1
            self.compute(user_ns=self.program.options["work"])
        if self.in_flight < self.program.options["depth"]:
            self.in_flight += 1
            self.submit()
        elif not self.left_ns:
            self.wait()

    def submit(self) -> None:
        """Ask for one more I/O."""
        self.program.submit(self, CpuId(self.cpu))
        self.compute(system_ns=self.program.options["submit"])

    def wait(self) -> None:
        """There is nothing to do until one has ended."""
        self.state = "D"

    def io_ended(self, at_ns: int) -> None:
        """An interrupt has ended it; the thread hears of it at at_ns, when that is over."""
        kernel, cpu = self.program.kernel, self.program.kernel.this.cpu

        def tell() -> None:
            outer, kernel.this = kernel.this, kernel.cpus[cpu]
            self.ended += 1
            self.sched.wake(self)
            kernel.this = outer

        self.program.agenda.at(at_ns, tell)


class PollingIoTask(IoTask):
    """A thread that looks for the ends of its I/Os itself: IORING_SETUP_IOPOLL, or RWF_HIPRI."""

    def __init__(self, program: "IoProgram", pid: int, number: int) -> None:
        super().__init__(program, pid, number)
        self._queues: list[HardwareQueue] = []  # where it has asked

    def submit(self) -> None:
        request = self.program.submit(self, CpuId(self.cpu), on_posted=self.found)
        if request.queue not in self._queues:
            self._queues.append(request.queue)
        self.compute(system_ns=self.program.options["submit"])

    def wait(self) -> None:
        found = sum(self.program.disk.poll(queue) for queue in self._queues)
        if found:
            self.compute(system_ns=found * self.program.kernel.cost.softirq_item_ns)
        else:
            self.spin()

    def found(self) -> None:
        if self.state != "X":
            super().found()
            return
        for queue in self._queues:  # io_iopoll_try_reap_events() at the exit
            self.program.disk.poll(queue)

    def io_ended(self, at_ns: int) -> None:
        """Somebody has found it: this thread, or another that polls the same queue."""
        self.ended += 1
        self.found()


class IoProgram(Application[IoTask]):
    """The programs of one drive. I/Os of threads that have ended end as well; nobody looks."""

    FIXED = (*Application.FIXED, "iopoll")

    def __init__(
        self, pc: Pc, sched: Scheduler, options: Mapping[str, Any], device: LoadedDrive
    ) -> None:
        super().__init__(pc, sched, options)
        self.kernel = pc.kernel
        self.sched = sched
        self.completed = 0
        self.disk: Disk = device.io.get().disk
        self.agenda = Agenda(pc.kernel.timeline)
        self._offered = 0
        self._chance = pc.kernel.chance(f"{self.name}/io")
        if options["iopoll"]:
            self.disk.check_can_poll(device.name)

    def new_thread(self, pid: int, number: int) -> IoTask:
        kind = PollingIoTask if self.options["iopoll"] else IoTask
        return kind(self, pid, number)

    def submit(
        self, task: IoTask, cpu: CpuId, on_posted: Callable[[], None] | None = None
    ) -> Request:
        """Ask for an I/O of a thread, from a CPU; on_posted: of who polls."""
        options = self.options
        self._offered += 1
        read = options["read"]

        def ended(request: Request, at_ns: int) -> None:
            self.latency.count(at_ns - request.asked_ns)
            task.io_ended(at_ns)

        request = Request(
            cpu,
            options["size"],
            is_write=read < 1 and self._chance.random.random() >= read,
            asked_ns=self.kernel.timeline.now_ns,
            on_end=ended,
            is_polled=options["iopoll"],
        )
        request.on_posted = on_posted
        self.disk.submit(request)
        return request

    def counts(self) -> Mapping[str, int]:
        everybody = [*self.threads, *self.gone]
        return {
            "offered": self._offered,
            "served": self.completed,
            "ended": sum(task.ended for task in everybody),
            "in_flight": sum(task.in_flight - task.ended for task in everybody),
        }
