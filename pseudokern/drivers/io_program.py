"""Be a program that reads and writes a drive, and waits for it.

Each thread keeps so many I/Os under way: it submits until there are enough, and sleeps (D) until
one has ended. A CPU that is idle while a thread that fell asleep there waits is in iowait. With
iopoll it does not sleep, but looks again and again: no interrupt, and no CPU time for others.

An I/O that a driver let go of never ends; its thread waits for ever, and has to be started again
when the driver is back.
"""

from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.application import Application
from pseudokern.drivers.io_poll import PollingIoTask
from pseudokern.drivers.io_task import IoTask
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.drivers.sqpoll import RingIoTask
from pseudokern.kernel.blk_mq import Disk, Request
from pseudokern.kernel.cpumask import CpuId, CpuMask, cpus_of
from pseudokern.kernel.sched import Scheduler
from pseudokern.sim.agenda import Agenda
from pseudokern.x86.pc import Pc


class IoProgram(Application[IoTask]):
    """The programs of one drive. I/Os of threads that have ended end as well; nobody looks."""

    FIXED = (*Application.FIXED, "iopoll", "sqpoll")

    def __init__(
        self, pc: Pc, sched: Scheduler, options: Mapping[str, Any], device: LoadedDrive
    ) -> None:
        super().__init__(pc, sched, options)
        self.kernel = pc.kernel
        self.sched = sched
        self.completed = 0
        self.disk: Disk = device.io.get().disk
        self._drive = device
        self.agenda = Agenda(pc.kernel.timeline)
        self.offered = 0
        self._chance = pc.kernel.chance(f"{self.name}/io")
        if options["iopoll"]:
            self.disk.check_can_poll(device.name)

    def start(self) -> None:
        """Open the drive. ENODEV: no driver has it."""
        self.disk = self._drive.io.get().disk
        super().start()

    def new_thread(self, pid: int, number: int) -> IoTask:
        if self.options["sqpoll"]:
            return RingIoTask(self, pid, number, self._pc.irqs.kthreads.take_pid())
        kind = PollingIoTask if self.options["iopoll"] else IoTask
        return kind(self, pid, number)

    def place_of_poller(self, number: int) -> CpuMask:
        """Where the thread of a ring may run: IORING_SETUP_SQ_AFF, or on any CPU."""
        cpus: CpuMask | None = self.options["sq_thread_cpu"]
        if cpus is None:
            return self.kernel.possible
        listed = list(cpus_of(cpus))
        return 1 << listed[number % len(listed)]

    def submit(self, task: IoTask, cpu: CpuId, asked_ns: int) -> Request:
        """Give the disk an I/O of a thread, from a CPU; asked_ns: when the program wanted it."""
        options = self.options
        read = options["read"]

        def ended(request: Request, at_ns: int) -> None:
            self.latency.count(at_ns - request.asked_ns)
            task.io_ended(at_ns)

        request = Request(
            cpu,
            options["size"],
            is_write=read < 1 and self._chance.random.random() >= read,
            asked_ns=asked_ns,
            on_end=ended,
            is_polled=options["iopoll"],
        )
        task.disk.submit(request)
        return request

    def more_results(self) -> Mapping[str, int]:
        rings = [task for task in (*self.threads, *self.gone) if isinstance(task, RingIoTask)]
        return {"sq_wakeups": sum(task.wakeups for task in rings)} if rings else {}

    def counts(self) -> Mapping[str, int]:
        everybody = [*self.threads, *self.gone]
        asked = dict.fromkeys((False, True), 0)  # of disks that are there; that are gone
        for task in everybody:
            asked[task.disk.is_gone] += task.in_flight - task.ended
        return {
            "offered": self.offered,
            "served": self.completed,
            "ended": sum(task.ended for task in everybody),
            "in_flight": asked[False],
            "lost_removed": asked[True],
        }
