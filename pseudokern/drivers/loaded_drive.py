"""Let a storage controller be given I/Os to do: what those with one drive have in common."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pseudokern.drivers.intx import IntxDevice
from pseudokern.drivers.keys import Key

if TYPE_CHECKING:
    from pseudokern.drivers.block_drive import DriveLoad, QueuePlan
    from pseudokern.hw.completion_queue import Coalescing


class LoadedDrive(IntxDevice):
    """A controller whose drive takes a load. NR_REQUESTS: how many a queue holds at a time."""

    NR_REQUESTS: ClassVar[int]

    @property
    def coalescing(self) -> "Coalescing | None":
        """The rules by which completions wait for others; None: they do not."""
        return None

    def plan_queues(self) -> "Sequence[QueuePlan]":
        """The queues that the driver has set up; none if there is no driver."""
        raise NotImplementedError

    @cached_property
    def io(self) -> "DriveLoad":
        """The drive, as far as it does real I/O."""
        from pseudokern.drivers.block_drive import DriveLoad  # few machines load their drives

        return DriveLoad(self, self.plan_queues, self.NR_REQUESTS, self.coalescing)

    @classmethod
    def load_keys(cls) -> Mapping[str, Key]:
        from pseudokern.drivers.io_load import IO_LOAD_KEYS

        return IO_LOAD_KEYS

    def set_load(self, options: Mapping[str, Any] | None) -> None:
        self.io.set(options)

    def show_load(self) -> str:
        return self.io.show()

    def show_results(self) -> str:
        return self.io.show_results()

    def release(self) -> None:
        if "io" in vars(self):
            self.io.remove()
        super().release()
