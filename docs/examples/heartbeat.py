"""Log once a second, from a timer."""

from pseudokern.module import Module, parameter


class Heartbeat(Module):
    seconds: int = parameter(1, mode=0o644, doc="between two beats")

    def init(self) -> None:
        self.beats = 0
        self.timer = self.timer_setup(self.beat)
        self.mod_timer(self.timer, self.jiffies + self.seconds * self.HZ)
        self.proc_create("heartbeat", self.show)

    def exit(self) -> None:
        self.proc_remove("heartbeat")
        self.timer_delete_sync(self.timer)

    def beat(self) -> None:  # in the TIMER softirq: may not sleep
        self.beats += 1
        self.pr_info(f"beat {self.beats}")
        self.mod_timer(self.timer, self.jiffies + self.seconds * self.HZ)

    def show(self) -> str:
        return f"{self.beats}\n"
