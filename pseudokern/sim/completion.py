"""Hold a result that comes later, in simulated time.

What struct completion is to a sleeping task, this is to a write or read from outside that has
to wait: `echo 3s > clock/advance` returns when the three seconds are over.
"""

from collections.abc import Callable


class Completion:
    """Something that will be done once: with a result, or with an errno."""

    __slots__ = ("_callbacks", "done", "error", "result")

    def __init__(self) -> None:
        self.done = False
        self.result: object = None
        self.error: OSError | None = None
        self._callbacks: list[Callable[[], None]] = []

    def on_done(self, callback: Callable[[], None]) -> None:
        """Call callback once this is done; at once if it is already."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def complete(self, result: object = None) -> None:
        self._finish(result, None)

    def fail(self, error: OSError) -> None:
        self._finish(None, error)

    def _finish(self, result: object, error: OSError | None) -> None:
        if self.done:
            return
        self.done, self.result, self.error = True, result, error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
