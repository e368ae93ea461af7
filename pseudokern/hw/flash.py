"""Be the medium of a solid-state drive: channels that serve one command each at a time.

A command takes a fixed part of its mean time and an exponential rest, and then what its data take;
that is the shape which fio shows for drives that are not full. Commands wait for a channel in the
order in which they came. So a drive has both limits of a real one: the latency of one command, and
channels / latency commands a second.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

from pseudokern.sim.alarm import Alarm
from pseudokern.sim.chance import Chance
from pseudokern.sim.timeline import Timeline

FIXED_PART = 0.7


class Flash:
    """The commands of one drive that are under way.

    read_ns, write_ns  mean time of a command without its data
    kb_ns     what each KB adds
    finished  called with a command when it is done
    """

    def __init__(
        self,
        timeline: Timeline,
        chance: Chance,
        *,
        channels: int,
        read_ns: int,
        write_ns: int,
        kb_ns: float,
        finished: Callable[[Any], None],
    ) -> None:
        self._timeline = timeline
        self._chance = chance
        self._mean_ns = (read_ns, write_ns)
        self._kb_ns = kb_ns
        self._finished = finished
        self._free_ns = [0] * channels  # a heap: when each channel has done what it was given
        heapify(self._free_ns)
        self._ends: list[tuple[int, int, Any]] = []
        self._started = 0
        self._alarm = Alarm(timeline, self._ring)

    def __len__(self) -> int:
        return len(self._ends)

    def start(self, command: object, size_kb: int, *, is_write: bool) -> None:
        """Take a command."""
        mean_ns = self._mean_ns[is_write]
        service_ns = mean_ns * FIXED_PART + self._chance.exponential_ns(mean_ns * (1 - FIXED_PART))
        begin_ns = max(self._timeline.now_ns, self._free_ns[0])
        end_ns = begin_ns + round(service_ns + size_kb * self._kb_ns)
        heapreplace(self._free_ns, end_ns)
        self._started += 1
        heappush(self._ends, (end_ns, self._started, command))
        if self._ends[0][1] == self._started:
            self._alarm.set(end_ns)

    def take(self, is_wanted: Callable[[Any], bool]) -> list[Any]:
        """End commands without a word: those that are wanted, in the order of their ends."""
        taken = [command for _, _, command in sorted(self._ends) if is_wanted(command)]
        self._ends = [entry for entry in self._ends if not is_wanted(entry[2])]
        heapify(self._ends)
        return taken

    def _ring(self) -> None:
        now_ns, ends = self._timeline.now_ns, self._ends
        while ends and ends[0][0] <= now_ns:
            self._finished(heappop(ends)[2])
        if ends:
            self._alarm.set(ends[0][0])
