"""Replay interrupts in software, for controllers that cannot do it in hardware.

Follows kernel/irq/resend.c: irq_sw_resend() and its tasklet.
"""

from pseudokern.irq.desc import IrqDesc
from pseudokern.sim.alarm import Alarm
from pseudokern.sim.timeline import Timeline


class SoftwareResend:
    """Calls the flow handlers of the lines given to it, as soon as the present code is done."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._queue: list[IrqDesc] = []
        self._alarm = Alarm(timeline, self._run)

    def resend(self, desc: IrqDesc) -> bool:
        """Queue desc; True, since this always works."""
        if desc not in self._queue:
            self._queue.append(desc)
            self._alarm.set(self._timeline.now_ns)
        return True

    def _run(self) -> None:
        queue, self._queue = self._queue, []
        for desc in queue:
            desc.handle_irq(desc)
