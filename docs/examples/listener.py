"""Listen on a line that other drivers have: a second handler, which never says that it was its."""

from pseudokern.module import Irqf, IrqReturn, Module


class Listener(Module):
    irq: int = 16

    def init(self) -> None:
        self.heard = 0
        self.work = self.init_work(self.tell)
        self.request_irq(self.irq, self.listen, flags=Irqf.SHARED)

    def exit(self) -> None:
        self.free_irq(self.irq)
        self.cancel_work_sync(self.work)

    def listen(self) -> IrqReturn:
        self.heard += 1
        if self.heard % 500 == 0:
            self.schedule_work(self.work)
        return IrqReturn.NONE

    async def tell(self) -> None:  # in a kworker: may sleep
        self.pr_info(f"heard {self.heard} interrupts on {self.irq}")
