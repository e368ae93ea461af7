"""Be a program that reads and writes a drive, and waits for it.

Each thread keeps so many I/Os under way: it submits until there are enough, and sleeps (D) until
one has ended. A CPU that is idle while a thread that fell asleep there waits is in iowait.

An I/O that a driver let go of never ends; its thread waits for ever.
"""

from collections.abc import Mapping
from typing import Any

from pseudokern.drivers.application import Application
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.kernel.blk_mq import Disk, Request
from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.sched import Scheduler
from pseudokern.kernel.sched_task import SchedTask
from pseudokern.sim.agenda import Agenda
from pseudokern.x86.pc import Pc


class IoTask(SchedTask):
    """One thread. ended: I/Os that it has not looked at yet."""

    def __init__(self, program: "IoProgram", pid: int, number: int) -> None:
        start_ns = program.kernel.timeline.now_ns
        super().__init__(pid, program.name, program.place(number), start_ns)
        self.in_flight = 0
        self.ended = 0
        self._program = program

    def step(self) -> None:
        program, options = self._program, self._program.options
        if self.ended:
            self.ended -= 1
            self.in_flight -= 1
            program.completed += 1
            self.compute(user_ns=options["work"])
        if self.in_flight < options["depth"]:
            self.in_flight += 1
            program.submit(self)
            self.compute(system_ns=options["submit"])
        elif not self.left_ns:
            self.state = "D"


class IoProgram(Application):
    """The programs of one drive."""

    def __init__(
        self, pc: Pc, sched: Scheduler, options: Mapping[str, Any], device: LoadedDrive
    ) -> None:
        super().__init__(pc, sched, options)
        self.kernel = pc.kernel
        self.completed = 0
        self._offered = 0
        self._disk: Disk = device.io.get().disk
        self._agenda = Agenda(pc.kernel.timeline)
        self._chance = pc.kernel.chance(f"{self.name}/io")
        self.threads = [
            IoTask(self, pc.irqs.kthreads.take_pid(), number)
            for number in range(options["threads"])
        ]
        self.tasks = self.threads

    def submit(self, task: IoTask) -> None:
        """A thread asks for an I/O on the CPU that it runs on."""
        options = self.options
        self._offered += 1
        read = options["read"]
        request = Request(
            CpuId(task.cpu),
            options["size"],
            is_write=read < 1 and self._chance.random.random() >= read,
            asked_ns=self.kernel.timeline.now_ns,
            on_end=lambda request, at_ns: self._ended(task, request, at_ns),
        )
        self._disk.submit(request)

    def counts(self) -> Mapping[str, int]:
        return {
            "offered": self._offered,
            "served": self.completed,
            "ended": sum(task.ended for task in self.threads),
            "in_flight": sum(task.in_flight - task.ended for task in self.threads),
        }

    def _ended(self, task: IoTask, request: Request, at_ns: int) -> None:
        """An interrupt has ended it; the thread hears of it when that is over."""
        self.latency.count(at_ns - request.asked_ns)
        cpu = self.kernel.this.cpu

        def tell() -> None:
            outer, self.kernel.this = self.kernel.this, self.kernel.cpus[cpu]
            task.ended += 1
            self._sched.wake(task)
            self.kernel.this = outer

        self._agenda.at(at_ns, tell)
