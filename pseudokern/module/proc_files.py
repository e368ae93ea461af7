"""Files in /proc for modules: proc_create()."""

import errno
from collections.abc import Callable

from pseudokern.kernel.printk import decoded
from pseudokern.module.core import BUGS, Core, Owned

READ_ONLY = 0o444


class ProcFiles(Core):
    """The files of a module in /proc."""

    def proc_create(
        self,
        name: str,
        show: Callable[[], str] | None = None,
        store: Callable[[str], None] | None = None,
        *,
        mode: int = READ_ONLY,
    ) -> None:
        """Make /proc/NAME; NAME may have directories, which are made with it.

        show() returns the text. store(text) takes what is written, and raises OSError to refuse it.
        An exception in one of them is an oops, and EIO for who reads or writes.

        EEXIST  there is such a file already
        """
        self.kernel.proc_create(
            name,
            mode,
            None if show is None else self._shown_by(name, show),
            None if store is None else self._stored_by(name, store),
        )
        self.own(
            Owned(
                name,
                f"/proc/{name}",
                "proc_remove()",
                is_held=lambda: True,
                take=lambda: self.kernel.proc_remove(name),
            )
        )

    def proc_remove(self, name: str) -> None:
        """Take /proc/NAME away. Who has it open gets EIO from now on."""
        owned = next((o for o in self._owned if o.thing == name), None)
        if owned is not None:
            self.disown(owned.thing)
            self.kernel.proc_remove(name)

    def _shown_by(self, name: str, show: Callable[[], str]) -> Callable[[], bytes]:
        guarded = self.guarded(lambda: show().encode(), None)

        def call() -> bytes:
            self._check_is_there(name)
            text = guarded()
            if text is None:
                raise OSError(errno.EIO, f"{self.name}: show() raised; see the kernel log")
            return text

        return call

    def _check_is_there(self, name: str) -> None:
        """use_pde(): who has the file open finds that it was removed."""
        if not any(owned.thing == name for owned in self._owned):
            raise OSError(errno.EIO, f"/proc/{name} is gone")

    def _stored_by(self, name: str, store: Callable[[str], None]) -> Callable[[bytes], None]:
        def call(data: bytes) -> None:
            self._check_is_there(name)
            try:
                store(decoded(data))
            except OSError:
                raise
            except BUGS as error:
                self._report(self, error)
                raise OSError(errno.EIO, f"{self.name}: store() raised") from None

        return call
