"""Let a program that finds its socket empty poll the card's queue itself, before it sleeps.

Follows napi_busy_loop(), busy_poll_stop() and sk_busy_loop() of net/core/dev.c. As long as the loop
owns the queue, nobody else polls it, and the card does not interrupt; but an interrupt that was
enabled when the loop began still comes with the first packet. With prefer_busy_poll, and with
gro_flush_timeout and napi_defer_hard_irqs set, the interrupt stays off after the loop, too, until
the timer finds that nobody has polled since.

The time of the next packet is known from the queue's feed, so a loop is a few events, not one for
each look.
"""

from collections.abc import Callable
from typing import NamedTuple

from pseudokern.kernel.feed import Feed
from pseudokern.kernel.kernel import Kernel
from pseudokern.kernel.napi import Napi
from pseudokern.kernel.napi_tuned import TunedNetRx
from pseudokern.kernel.spin import SpinningTask
from pseudokern.sim.alarm import Alarm

BUSY_POLL_BUDGET = 8
NS_PER_US = 1000


class BusyPollOptions(NamedTuple):
    """What a program has set for its socket.

    duration_ns  SO_BUSY_POLL; 0: it sleeps at once
    budget       SO_BUSY_POLL_BUDGET: packets that it takes at a time
    is_preferred  SO_PREFER_BUSY_POLL
    in_poll      it waits in poll(): then net.core.busy_poll says for how long
    """

    duration_ns: int = 0
    budget: int = BUSY_POLL_BUDGET
    is_preferred: bool = False
    in_poll: bool = False


class BusyLoop:
    """The loop of one reader.

    napi        the queue that the last packet of its socket came from
    rx_packets  what it has taken, for TcpExt BusyPollRxPackets
    """

    def __init__(self, kernel: Kernel, net_rx: TunedNetRx, task: SpinningTask) -> None:
        self.task = task
        self.options = BusyPollOptions()
        self.napi: Napi | None = None
        self.rx_packets = 0
        self._kernel = kernel
        self._net_rx = net_rx
        self._alarm: Alarm | None = None
        self._entered: Napi | None = None
        self._owns = False
        self._interrupts = False
        self._end_ns = 0

    def goes_on(self, feed_of: Callable[[Napi], Feed | None]) -> bool:
        """From step(), when the socket is empty. False: it is time to sleep."""
        if self._entered is None and not self.options.duration_ns:
            return False
        now_ns = self._kernel.timeline.now_ns
        if self._entered is None:
            duration_ns = self._duration_ns()
            if self.napi is None or not duration_ns:
                return False
            self._entered = self.napi
            self._net_rx.loops.setdefault(self.napi, []).append(self)
            self._end_ns = now_ns + duration_ns
        feed = feed_of(self._entered)
        if now_ns >= self._end_ns or feed is None:
            self.stop()
            return False
        if not self._owns and not self._acquire(self._entered, feed):
            self.task.spin(self._end_ns - now_ns)
            return True
        if not self._poll(self._entered, feed, now_ns):
            self._look_when(self._entered, feed, now_ns)
            self.task.spin(self._end_ns - now_ns)
        return True

    def stop(self) -> None:
        """busy_poll_stop(): the queue is anybody's again. Nothing if there is no loop."""
        napi = self._entered
        if napi is None:
            return
        self._entered = None
        self._net_rx.loops[napi].remove(self)
        if self._alarm is not None:
            self._alarm.cancel()
        if self._owns:
            self._owns = False
            now_ns = self._kernel.timeline.now_ns
            self._net_rx.complete(napi, 0, now_ns, renew=self.options.is_preferred)

    def let_in(self) -> None:
        """Nobody else polls the queue any more."""
        self.task.found()

    def _duration_ns(self) -> int:
        options = self.options
        if options.in_poll and options.duration_ns:  # sk_can_busy_loop()
            return self._kernel.net_rx.busy_poll_us * NS_PER_US
        return options.duration_ns

    def _acquire(self, napi: Napi, feed: Feed) -> bool:
        """Take the queue, unless NET_RX or another loop has it."""
        if napi.scheduled and not self._net_rx.stop_waiting(napi):
            return False
        self._owns = True
        self._interrupts = not napi.scheduled
        feed.hold()
        return True

    def _poll(self, napi: Napi, feed: Feed, now_ns: int) -> int:
        """Take what is there; how many packets that were."""
        kernel = self._kernel
        work = napi.poll(self.options.budget)
        if napi.extra_ns:
            self.task.compute(system_ns=napi.extra_ns)
        if not work:
            return 0
        self.rx_packets += work
        end_ns = self._net_rx.take(kernel.this, napi, work, now_ns)
        self.task.compute(system_ns=end_ns - now_ns)
        if self._interrupts and feed.listener is not None:
            self._interrupts = False
            feed.listener.interrupt(now_ns)
        return work

    def _look_when(self, napi: Napi, feed: Feed, now_ns: int) -> None:
        """Be told when the next packet comes or one has left, if that is in time."""
        if self._alarm is None:
            self._alarm = Alarm(self._kernel.timeline, self.task.found)
        feed.spinner = self.task.found
        next_ns = min(feed.nth_ns(feed.head, self._end_ns), napi.next_sent_ns)
        if now_ns < next_ns < self._end_ns:
            self._alarm.set(next_ns)
        else:
            self._alarm.cancel()
