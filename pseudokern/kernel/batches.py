"""Let frames that come while an interrupt is served reach memory in batches.

Cards that can (bnxt_en: rx-usecs-irq, rx-frames-irq) write completions one by one only as long as
nobody polls. Then they wait for more of them: a poll sees what was written, not what has arrived.
"""

from bisect import bisect_right


class Batches:
    """The frames of one queue.

    wait_ns   from the first frame of a batch to when it is written
    frames    or until there are so many
    until_ns  all that arrived until then are written
    """

    __slots__ = ("frames", "until_ns", "wait_ns")

    def __init__(self, wait_ns: int, frames: int, now_ns: int) -> None:
        self.wait_ns = wait_ns
        self.frames = frames
        self.until_ns = now_ns

    def written(self, times: list[int], head: int, now_ns: int) -> int:
        """Place behind the last frame that is written by now. times: when frames arrive, in order;
        at least those that have; those before head do not matter."""
        place = bisect_right(times, self.until_ns, head)
        while place < len(times):
            ends_ns, last = times[place] + self.wait_ns, place + self.frames - 1
            if last < len(times) and times[last] < ends_ns:
                ends_ns = times[last]
            if ends_ns > now_ns:
                break
            self.until_ns = ends_ns
            place = bisect_right(times, ends_ns, place)
        return place
