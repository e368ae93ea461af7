"""Count durations in buckets 3 % wide, and say below which of them a part of all lies.

A million durations take as little room as ten, and the same ones give the same percentiles.
"""

from itertools import accumulate

BUCKETS_PER_OCTAVE = 32  # 2^(1/32) is 1.022: an error of about one hundredth
_SHIFT = BUCKETS_PER_OCTAVE.bit_length() - 1


class Histogram:
    """Whole nanoseconds, from 0 on."""

    __slots__ = ("_counts", "most_ns", "total", "total_ns")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.total = 0
        self.total_ns = 0
        self.most_ns = 0

    def count(self, duration_ns: int, times: int = 1) -> None:
        bucket = _bucket_of(duration_ns)
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.total += times
        self.total_ns += duration_ns * times
        if duration_ns > self.most_ns:
            self.most_ns = duration_ns

    @property
    def mean_ns(self) -> int:
        return self.total_ns // self.total if self.total else 0

    def percentile_ns(self, percent: float) -> int:
        """So many percent of the durations are this short or shorter; 0 if there are none."""
        buckets = sorted(self._counts)
        wanted = self.total * percent / 100
        so_far_counts = accumulate(map(self._counts.__getitem__, buckets))
        for bucket, so_far in zip(buckets, so_far_counts, strict=True):
            if so_far >= wanted:
                return min(_end_of(bucket), self.most_ns)
        return 0


def _bucket_of(duration_ns: int) -> int:
    """Below 32 ns each ns has a bucket; from there on each octave has 32 of the same width."""
    octave = duration_ns.bit_length() - 1 - _SHIFT
    if octave <= 0:
        return duration_ns
    return (octave << _SHIFT) + (duration_ns >> octave)


def _end_of(bucket: int) -> int:
    octave = max(0, (bucket >> _SHIFT) - 1)
    if not octave:
        return bucket
    return ((bucket - (octave << _SHIFT) + 1) << octave) - 1
