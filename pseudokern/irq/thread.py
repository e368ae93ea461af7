"""Handle interrupts in threads.

Follows kernel/irq/manage.c (irq_thread, irq_finalize_oneshot, setup_irq_thread) and
__irq_wake_thread() of kernel/irq/handle.c.

Wake-ups do not queue: however many primaries ask before the thread runs, it runs once. A ONESHOT
line stays masked until the last of its threads is done.
"""

from collections.abc import Generator
from inspect import isawaitable

from pseudokern.irq.action import IrqAction, ThreadFunction
from pseudokern.irq.chip import unmask_irq
from pseudokern.irq.desc import IrqDesc
from pseudokern.irq.flags import ChipFlag, IrqData, IrqReturn, IrqState
from pseudokern.kernel.kthread import KEvent, KThreads, Policy

IRQ_THREAD_PRIORITY = 50
SECONDARY_PRIORITY = 49


class IrqThread:
    """The thread of one action: irq/N-name, or irq/N-s-name for a secondary one."""

    __slots__ = ("_action", "_desc", "_event", "_function", "requested", "stopping", "thread")

    def __init__(
        self,
        threads: KThreads,
        desc: IrqDesc,
        action: IrqAction,
        function: ThreadFunction,
        *,
        secondary: bool = False,
    ) -> None:
        self.requested = False
        self.stopping = False
        self._desc = desc
        self._action = action
        self._function = function
        self._event = KEvent()
        infix = "s-" if secondary else ""
        self.thread = threads.create(
            f"irq/{desc.irq}-{infix}{action.name}",
            self._main(),
            policy=Policy.FIFO,
            rt_priority=SECONDARY_PRIORITY if secondary else IRQ_THREAD_PRIORITY,
            cpus_allowed=desc.effective_affinity or desc.affinity,
        )

    @property
    def is_idle(self) -> bool:
        return not self.requested and self.thread.state != "R"

    def wake(self) -> None:
        """Have the thread function run once more. From interrupt context."""
        if self.requested or self.thread.state == "X":
            return
        self.requested = True
        self._desc.threads_oneshot |= self._action.thread_mask
        self._desc.threads_active += 1
        self._event.set()

    def stop(self) -> None:
        """End the thread: now if it waits, else when its present run is done."""
        self.stopping = True
        self._event.set()

    async def _main(self) -> None:
        while True:
            await self._event
            if self.requested:
                self.thread.cpus_allowed = self._desc.effective_affinity or self._desc.affinity
                self.requested = False
                await self._run_once()
            if self.stopping:
                return

    async def _run_once(self) -> None:
        desc = self._desc
        try:
            answer = self._function()
            if isawaitable(answer):
                answer = await answer
            if answer == IrqReturn.HANDLED:
                desc.threads_handled += 1
            if answer == IrqReturn.WAKE_THREAD and self._action.secondary is not None:
                self._action.secondary.wake()
        finally:
            finalize_oneshot(desc, self._action, run_again=self.requested)
            thread_done(desc)


class Quiet:
    """Await this to wait until no thread of the line runs. Handlers never run while one waits."""

    __slots__ = ("_desc",)

    def __init__(self, desc: IrqDesc) -> None:
        self._desc = desc

    def __await__(self) -> Generator[KEvent, None, None]:
        waiters = self._desc.table.thread_waiters
        while self._desc.threads_active:
            event = KEvent()
            waiters.setdefault(self._desc, []).append(event)
            yield from event.__await__()


def thread_done(desc: IrqDesc) -> None:
    """A run of a thread is over; wake_threads_waitq()."""
    desc.threads_active -= 1
    if not desc.threads_active:
        for event in desc.table.thread_waiters.pop(desc, ()):
            event.set()


def finalize_oneshot(desc: IrqDesc, action: IrqAction, *, run_again: bool) -> None:
    """A thread is done: unmask the line if no other one still has work for it."""
    if not desc.istate & IrqState.ONESHOT or run_again:
        return
    desc.threads_oneshot &= ~action.thread_mask
    masked = desc.dstate & IrqData.IRQ_MASKED and not desc.is_disabled
    if not desc.threads_oneshot and masked:
        if desc.chip.flags & ChipFlag.EOI_THREADED:
            desc.chip.eoi(desc)
        unmask_irq(desc)
