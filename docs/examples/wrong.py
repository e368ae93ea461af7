"""Everything that a module should not do."""

from pseudokern.module import Module


class Wrong(Module):
    def init(self) -> None:
        self.sleeper = self.timer_setup(self.sleep)
        self.mod_timer(self.sleeper, self.jiffies + 1)
        self.divider = self.timer_setup(self.divide)
        self.mod_timer(self.divider, self.jiffies + 2)
        self.forgotten = self.timer_setup(self.divide)
        self.mod_timer(self.forgotten, self.jiffies + 60 * self.HZ)

    def exit(self) -> None:
        """The timer that is forgotten would call a function that is gone."""

    def sleep(self) -> None:
        self.msleep(10)

    def divide(self) -> None:
        self.left = 1 // 0
