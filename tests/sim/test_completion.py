"""A completion is done once, and tells everybody who asked."""

import errno

from pseudokern.sim.completion import Completion


def test_who_asked_before_and_who_asks_after_is_told():
    told, completion = [], Completion()
    completion.on_done(lambda: told.append("before"))
    assert told == []

    completion.complete(7)
    completion.on_done(lambda: told.append("after"))
    assert told == ["before", "after"]
    assert completion.result == 7


def test_only_the_first_result_counts():
    completion = Completion()
    completion.fail(OSError(errno.EIO, "first"))
    completion.complete("second")
    assert completion.error is not None
    assert completion.result is None
