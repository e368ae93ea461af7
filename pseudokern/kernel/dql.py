"""Limit the bytes that wait in a card's transmit ring to what keeps it busy: byte queue limits.

Follows lib/dynamic_queue_limits.c. More than the limit may be in the ring by one packet; then the
stack keeps what comes, in the qdisc. The limit rises at once when the card has run dry although
there would have been more, and falls when for hold_time it was higher than it had to be.
"""

UINT_MAX = (1 << 32) - 1
MAX_OBJECT = UINT_MAX // 16
MAX_LIMIT = UINT_MAX // 2 - MAX_OBJECT
NEVER = UINT_MAX


class Dql:
    """The limit of one queue; struct dql. All but hold_jiffies is in bytes.

    limit                 what it is now; limit_min, limit_max: what it stays between
    queued, completed     given to the card, and completed by it, since reset()
    hold_jiffies          for how long slack is watched before the limit falls
    """

    __slots__ = ("_adjusted", "_before_last", "_last", "_lowest_slack", "_over", "_queued_before",
                 "_slack_since", "completed", "hold_jiffies", "limit", "limit_max", "limit_min",
                 "queued")  # fmt: skip

    def __init__(self, hold_jiffies: int) -> None:
        self.limit_max = MAX_LIMIT
        self.limit_min = 0
        self.hold_jiffies = hold_jiffies
        self.reset(0)

    def reset(self, jiffies: int) -> None:
        """The ring is empty, as is everything known of it."""
        self.limit = 0
        self.queued = 0
        self.completed = 0
        self._adjusted = 0  # what may have been queued: the limit beyond what is completed
        self._last = 0  # of the last packet, and at the last completion
        self._before_last = 0
        self._queued_before = 0  # at the last completion
        self._over = 0  # by how much it was over the limit then
        self._lowest_slack = NEVER
        self._slack_since = jiffies

    @property
    def inflight(self) -> int:
        return self.queued - self.completed

    @property
    def avail(self) -> int:
        """How many bytes may be given to the card yet; below 0 it has more than enough."""
        return self._adjusted - self.queued

    def enqueue(self, size: int) -> None:
        """A packet went to the card; dql_queued()."""
        self._last = size
        self.queued += size

    def complete(self, size: int, jiffies: int) -> None:
        """Bytes were completed: what is the limit now? dql_completed()."""
        completed = self.completed + size
        over = max(0, self.inflight - self.limit)
        left = self.queued - completed
        left_before = self._queued_before - self.completed
        new_completed = max(0, completed - self._queued_before)
        limit = self.limit
        if (over and not left) or (self._over and new_completed):
            limit += new_completed + self._over
            self._watch_slack(jiffies)
        elif left and left_before and not new_completed:
            slack = max(0, limit + self._over - 2 * size)
            if self._over:
                slack = max(slack, self._before_last - self._over)
            self._lowest_slack = min(self._lowest_slack, slack)
            if jiffies > self._slack_since + self.hold_jiffies:
                limit = max(0, limit - self._lowest_slack)
                self._watch_slack(jiffies)
        limit = min(max(limit, self.limit_min), self.limit_max)
        if limit != self.limit:
            self.limit, over = limit, 0
        self._adjusted = limit + completed
        self._over = over
        self._before_last = self._last
        self.completed = completed
        self._queued_before = self.queued

    def _watch_slack(self, jiffies: int) -> None:
        self._slack_since, self._lowest_slack = jiffies, NEVER
