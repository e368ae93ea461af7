"""Be a thread that keeps so many I/Os under way, and sleeps until one has ended."""

from typing import TYPE_CHECKING

from pseudokern.kernel.cpumask import CpuId
from pseudokern.kernel.spin import SpinningTask

if TYPE_CHECKING:
    from pseudokern.drivers.io_program import IoProgram


class IoTask(SpinningTask):
    """One thread. disk: what it has opened; ended: I/Os that it has not looked at yet."""

    def __init__(self, program: "IoProgram", pid: int, number: int) -> None:
        start_ns = program.kernel.timeline.now_ns
        super().__init__(program.sched, pid, program.name, program.place(number), start_ns)
        self.disk = program.disk
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
            self.program.offered += 1
            self.submit()
        elif not self.left_ns:
            self.wait()

    def submit(self) -> None:
        """Ask for one more I/O."""
        self.program.submit(self, CpuId(self.cpu), self.program.kernel.timeline.now_ns)
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
