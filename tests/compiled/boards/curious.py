"""A module whose timer, tasklet and work say where they run, and what called them."""

from pseudokern.kernel.context import in_softirq, preempt_count
from pseudokern.kernel.warn import dump_stack
from pseudokern.module import Module


class Curious(Module):
    def init(self) -> None:
        self.beats = 0
        self.tasklet = self.tasklet_setup(self.soft)
        self.work = self.init_work(self.think)
        self.timer = self.timer_setup(self.beat)
        self.mod_timer(self.timer, self.jiffies + 2)

    def exit(self) -> None:
        self.timer_delete_sync(self.timer)
        self.tasklet_kill(self.tasklet)
        self.cancel_work_sync(self.work)

    def beat(self) -> None:
        self.beats += 1
        self.tell("timer")
        self.tasklet_schedule(self.tasklet)
        self.schedule_work(self.work)
        if not self.beats % 9:
            self.msleep(10)  # not in a timer
        self.mod_timer(self.timer, self.jiffies + 5)

    def soft(self) -> None:
        self.tell("tasklet")
        if self.beats % 5 == 1:
            dump_stack(self.kernel)

    async def think(self) -> None:
        self.tell("work")
        if not self.beats % 4:
            raise LookupError("lost")

    def tell(self, who: str) -> None:
        kernel = self.kernel
        self.pr_info(f"{who} {self.beats}: {preempt_count(kernel):08x} {in_softirq(kernel)}")
