"""Frames reach memory so many at a time, or after so long, whichever is first."""

from hypothesis import given
from hypothesis import strategies as st

from pseudokern.kernel.batches import Batches


def written_one_by_one(times, wait_ns, frames, until_ns, now_ns):
    """When each of the frames is written, for as long as time passes."""
    waiting, written = [], sum(time_ns <= until_ns for time_ns in times)
    for time_ns in [t for t in times if until_ns < t <= now_ns] + [now_ns + 1]:
        if waiting and min(waiting[0] + wait_ns, now_ns + 1) <= min(time_ns - 1, now_ns):
            written, waiting = written + len(waiting), []
        if time_ns > now_ns:
            break
        waiting.append(time_ns)
        if len(waiting) == frames or waiting[0] + wait_ns == time_ns:
            written, waiting = written + len(waiting), []
    return written


@given(
    times=st.lists(st.integers(1, 300), unique=True, max_size=40).map(sorted),
    wait_ns=st.integers(1, 60),
    frames=st.integers(2, 8),
    until_ns=st.integers(0, 100),
    looks=st.lists(st.integers(0, 320), min_size=1, max_size=6).map(sorted),
)
def test_what_is_written_is_what_a_card_would_have_written_that_is_told_of_each_frame(
    times, wait_ns, frames, until_ns, looks
):
    batches = Batches(wait_ns, frames, until_ns)
    for now_ns in looks:
        expected = written_one_by_one(times, wait_ns, frames, until_ns, max(now_ns, until_ns))
        assert batches.written(times, 0, now_ns) == expected, now_ns


def test_third_of_three_frames_is_written_at_once_and_a_single_one_after_the_wait():
    batches = Batches(100, 3, 0)
    times = [10, 20, 30, 200]
    assert [batches.written(times, 0, now_ns) for now_ns in (29, 30, 299, 300)] == [0, 3, 3, 4]
