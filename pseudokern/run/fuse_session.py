"""Answer the kernel's FUSE requests from the thread that simulates, a few at a time.

Follows include/uapi/linux/fuse.h for the messages and fs/fuse/dev.c for when they may come.

libfuse keeps the paths and answers all that go by path. What goes by handle (read, write,
release, interrupt) is answered here from the raw message: it is the hot path, and libfuse 2
cannot answer a read later, as trace_pipe, kmsg and clock/advance must. The second open of a file
is answered here, too, from the path that libfuse found for the first: nothing is ever renamed.

A C client on the same CPU that opens, reads 3 KB to the end and closes waits 31 us, where
the real /proc/interrupts makes it wait 25 us.
"""

import ctypes
import errno
import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from pseudokern.fs.tree import Tree
from pseudokern.run import libfuse, mountpoint, pending_signals
from pseudokern.run.fuse_operations import LOG, FuseOperations, errno_of
from pseudokern.run.mountpoint import MountError
from pseudokern.sim.completion import Completion

FUSE_FORGET = 2
FUSE_OPEN = 14
FUSE_READ = 15
FUSE_WRITE = 16
FUSE_RELEASE = 18
FUSE_INTERRUPT = 36
FUSE_POLL = 40
FUSE_BATCH_FORGET = 42
FUSE_FALLOCATE = 43
FUSE_LSEEK = 46
_BY_HANDLE = (FUSE_POLL, FUSE_FALLOCATE, FUSE_LSEEK)

FOPEN_DIRECT_IO = 1
FUSE_POLL_SCHEDULE_NOTIFY = 1
FUSE_NOTIFY_POLL = 1

# struct fuse_in_header (len, opcode, unique, nodeid, uid, gid, pid, extlen, padding), then what
# read_in, write_in, release_in and interrupt_in begin with: a handle (interrupt: the unique of
# the request that is to end; open_in: flags in its lower half), an offset (poll_in: what to name
# when it is time to poll again), a size (poll_in: flags; lseek_in: whence).
REQUEST = struct.Struct("=IIQQIIIHHQQI")
WRITE_DATA = 80  # sizeof fuse_in_header + sizeof fuse_write_in
REPLY = struct.Struct("=IiQ")  # struct fuse_out_header: len, error, unique
WRITTEN = struct.Struct("=IiQII")  # the same, with struct fuse_write_out: size, padding
OPENED = struct.Struct("=IiQQII")  # with struct fuse_open_out: handle, flags, padding
POLLED = WRITTEN  # struct fuse_poll_out: revents, padding
SOUGHT = struct.Struct("=IiQQ")  # the same, with struct fuse_lseek_out: offset
POLL_AGAIN = SOUGHT  # with struct fuse_notify_poll_wakeup_out; error is the kind of notice

OPENED_HERE = 1 << 62  # in a handle: libfuse has not heard of that open

# A client on another CPU, open to close: 210 us without a linger, 62 with 30 us, 75 with 100 us.
LINGER_NS = 30_000
TURN_NS = 200_000  # what the simulation may have to wait for us

# Attributes are asked for again each time, names after a second: programs see a changed mode
# at once, and an open costs no request besides itself. With max_read at 64 KiB the buffers stay
# below malloc's mmap threshold: 3 MB in 1.0 ms rather than 2.9. A file of ours may be unlinked
# while it is open; hard_remove keeps libfuse from renaming it first.
OPTIONS = (
    "fsname=pseudokern,subtype=pseudokern,nosuid,nodev,noexec,attr_timeout=0,entry_timeout=1,"
    "negative_timeout=0,max_read=65536,big_writes,atomic_o_trunc,hard_remove"
)

CONTAINER = "; start a container with: --device /dev/fuse --cap-add SYS_ADMIN"


class FuseSession:
    """One mount: the kernel's end is a directory, ours is fd.

    on_wake   called when a request comes after a while, before it is answered
    on_write  called when a write has been answered
    """

    def __init__(
        self, library: libfuse.Libfuse, operations: FuseOperations, directory: Path, options: str
    ) -> None:
        self._library = library
        self._operations = operations
        self._directory = os.fsencode(os.path.realpath(directory))
        self._waiting: dict[int, Completion] = {}
        self._writers: dict[int, int] = {}  # of those that wait: their threads
        self._nursery: trio.Nursery | None = None
        self._paths: dict[int, str] = {}  # of files that were opened once, by the kernel's node
        self.on_wake: Callable[[], None] = _nothing
        self.on_write: Callable[[], None] = _nothing
        self._busy = False
        self._was_written = False
        self._leaving = False
        self.unmounted = False

        arguments = (ctypes.c_char_p * 3)(b"pseudokern", b"-o", options.encode())
        args = libfuse.FuseArgs(3, arguments, 0)
        try:
            self._channel, said = libfuse.call_quietly(
                lambda: library.mount(self._directory, ctypes.byref(args))
            )
            if not self._channel:
                why = mountpoint.one_line(said) or "the kernel refused"
                cure = CONTAINER if os.strerror(errno.EPERM) in why else ""
                raise MountError(f"{directory} cannot be mounted: {why}{cure}")
            self._fuse = library.new(
                self._channel,
                ctypes.byref(args),
                ctypes.byref(operations.table),
                ctypes.sizeof(operations.table),
                None,
            )
            if not self._fuse:
                library.unmount(self._directory, self._channel)
                raise MountError(f"{directory} cannot be mounted: libfuse refused {options}")
        finally:
            library.free_args(ctypes.byref(args))
        self._session = library.session(self._fuse)
        self.fd: int = library.channel_fd(self._channel)
        os.set_blocking(self.fd, False)
        os.set_inheritable(self.fd, False)
        self._request = bytearray(library.channel_bufsize(self._channel))
        self._requests = [self._request]
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._request))

    @classmethod
    def mount(
        cls, tree: Tree, directory: Path, *, allow_other: bool, covers: bool = False
    ) -> "FuseSession":
        """Mount tree on directory, or raise MountError.

        allow_other lets users other than this one in, where the machine permits it. covers lets
        the mount hide what directory contains.
        """
        mountpoint.prepare(directory, covers=covers)
        library = libfuse.load()
        options = OPTIONS
        if allow_other and mountpoint.may_allow_other():
            options += ",allow_other"
        if covers or mountpoint.has_placeholder(directory):
            options += ",nonempty"
        operations = FuseOperations(tree, library)
        return cls(library, operations, directory, options)

    async def serve(self) -> None:
        """Answer requests until the mount is gone."""
        async with trio.open_nursery() as self._nursery:
            while not self.unmounted:
                with suppress(trio.ClosedResourceError):
                    await trio.lowlevel.wait_readable(self.fd)
                    self.on_wake()
                    self.poll_until_quiet()
            self._nursery.cancel_scope.cancel()

    def poll_until_quiet(self) -> None:
        """Answer requests until none has come for LINGER_NS, but not for longer than TURN_NS.

        Who opens a file reads it next, twice. Staying awake for that saves two wake-ups.
        """
        now_ns = started_ns = quiet_since_ns = time.monotonic_ns()
        while now_ns - quiet_since_ns < LINGER_NS and now_ns - started_ns < TURN_NS:
            answered = self.poll(limit=8)
            now_ns = time.monotonic_ns()
            if answered:
                quiet_since_ns = now_ns
            elif self.unmounted:
                return

    @trio.lowlevel.enable_ki_protection
    def poll(self, limit: int = 64) -> int:
        """Answer the requests that wait, at most limit; say how many. Never blocks.

        Hot path: one read per request, into a buffer that is kept. A call from inside an
        answer gives 0: that buffer and libfuse are in use.
        """
        if self._busy:
            return 0
        answered = 0
        while answered < limit and not self.unmounted:
            try:
                length = os.readv(self.fd, self._requests)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENODEV:
                    self.unmount()
                    break
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue  # the request was taken back
                raise
            answered += 1
            self._busy = True
            try:
                self._answer(length)
            finally:
                self._busy = False
            if self._was_written:
                self._was_written = False
                self.on_write()
            if self._leaving:
                self.unmount()
        return answered

    def unmount(self) -> None:
        """Leave at once, even while files are open; does nothing the second time.

        Who waits in a read gets ENODEV, who keeps a file open gets ENOTCONN from it.
        """
        if self.unmounted:
            return
        if self._busy:  # libfuse is below us on the stack
            self._leaving = True
            return
        self.unmounted = True
        for unique in list(self._waiting):
            self._stop_waiting(unique, OSError(errno.ENODEV, "the machine was halted"))
        for handle in list(self._operations.files):
            self._release(handle)
        if trio.lowlevel.in_trio_run():
            trio.lowlevel.notify_closing(self.fd)
        _, said = libfuse.call_quietly(
            lambda: self._library.unmount(self._directory, self._channel)
        )
        # Once the channel is closed `pseudokern halt` may be faster: nothing is wrong then.
        if said and mountpoint.is_mounted(Path(os.fsdecode(self._directory))):
            sys.stderr.write(said)
        self._library.destroy(self._fuse)
        self.fd = -1

    def _answer(self, length: int) -> None:
        operations = self._operations
        (
            _, opcode, unique, node, operations.uid, operations.gid, operations.pid, _, _,
            handle, offset, size,
        ) = REQUEST.unpack_from(self._request)  # fmt: skip
        if opcode == FUSE_READ:
            try:
                result: object = operations.files[handle].read(size, offset)
            except Exception as error:
                self._refuse(unique, errno_of(error, "read"))
            else:
                self._give(unique, result)
        elif opcode == FUSE_WRITE:
            self._write(unique, handle, offset, size)
        elif opcode == FUSE_INTERRUPT:
            # The kernel names a request only after we have read it: what does not wait here
            # has been answered.
            if handle in self._waiting:
                self._interrupt(handle)
        elif opcode == FUSE_OPEN and node in self._paths:
            self._open(unique, self._paths[node], handle & 0xFFFF_FFFF)
        elif opcode == FUSE_RELEASE and handle & OPENED_HERE:
            self._release(handle)
            self._reply(unique, (REPLY.pack(REPLY.size, 0, unique),))
        elif opcode in _BY_HANDLE:
            self._answer_by_handle(opcode, unique, handle, offset, size)
        else:
            self._let_libfuse_answer(opcode, node, handle, length)

    def _let_libfuse_answer(self, opcode: int, node: int, handle: int, length: int) -> None:
        """What goes by path; note which path a file has that is opened for the first time."""
        operations, paths = self._operations, self._paths
        if opcode == FUSE_RELEASE:
            self._release(handle)
        elif opcode == FUSE_FORGET:
            paths.pop(node, None)
        elif opcode == FUSE_BATCH_FORGET:
            paths.clear()
        operations.opcode, operations.opened = opcode, None
        self._library.process(self._session, self._address, length, self._channel)
        if opcode == FUSE_OPEN and operations.opened is not None:
            paths[node] = os.fsdecode(operations.opened)

    def _write(self, unique: int, handle: int, offset: int, size: int) -> None:
        self._was_written = True
        data = bytes(memoryview(self._request)[WRITE_DATA : WRITE_DATA + size])
        try:
            result = self._operations.files[handle].write(data, offset)
        except Exception as error:
            self._refuse(unique, errno_of(error, "write"))
        else:
            if isinstance(result, Completion):
                self._writers[unique] = self._operations.pid
            self._give(unique, result)

    def _open(self, unique: int, path: str, flags: int) -> None:
        try:
            handle = self._operations.open(path, flags, OPENED_HERE)
        except Exception as error:
            self._refuse(unique, errno_of(error, f"open {path}"))
        else:
            opened = OPENED.pack(OPENED.size, 0, unique, handle, FOPEN_DIRECT_IO, 0)
            self._reply(unique, (opened,))

    def _answer_by_handle(
        self, opcode: int, unique: int, handle: int, offset: int, size: int
    ) -> None:
        """What libfuse 2 does not know, or does not hand on."""
        file = self._operations.files[handle]
        if opcode == FUSE_POLL:
            try:
                if size & FUSE_POLL_SCHEDULE_NOTIFY:
                    file.call_when_ready(partial(self._wake_pollers, offset))
                events = file.poll()
            except Exception as error:
                self._refuse(unique, errno_of(error, "poll"))
            else:
                self._reply(unique, (POLLED.pack(POLLED.size, 0, unique, events, 0),))
        elif opcode == FUSE_FALLOCATE:
            # Without an answer glibc would write NULs instead, which such files take for text.
            self._refuse(unique, errno.ESPIPE)
        else:
            try:
                position = file.seek(offset, size)
            except Exception as error:
                self._refuse(unique, errno_of(error, "lseek"))
            else:
                self._reply(unique, (SOUGHT.pack(SOUGHT.size, 0, unique, position),))

    def _give(self, unique: int, result: object) -> None:
        if type(result) is bytes:
            self._reply(unique, (REPLY.pack(REPLY.size + len(result), 0, unique), result))
        elif type(result) is int:
            self._reply(unique, (WRITTEN.pack(WRITTEN.size, 0, unique, result, 0),))
        elif isinstance(result, Completion):
            self._waiting[unique] = result
            result.on_done(partial(self._give_late, unique))
        else:
            bug = TypeError(f"a file gave {result!r:.80}")
            self._refuse(unique, errno_of(bug, "read or write"))

    def _give_late(self, unique: int) -> None:
        completion = self._waiting.pop(unique)
        self._writers.pop(unique, None)
        if completion.error is not None:
            self._refuse(unique, errno_of(completion.error, "late answer"))
        else:
            self._give(unique, completion.result)

    def _wake_pollers(self, kernel_handle: int) -> None:
        if not self.unmounted:
            notice = POLL_AGAIN.pack(POLL_AGAIN.size, FUSE_NOTIFY_POLL, 0, kernel_handle)
            self._reply(0, (notice,))

    def _refuse(self, unique: int, error: int) -> None:
        self._reply(unique, (REPLY.pack(REPLY.size, -error, unique),))

    def _reply(self, unique: int, message: tuple[bytes, ...]) -> None:
        try:
            os.writev(self.fd, message)
        except OSError as error:
            # ENOENT, ENODEV: nobody waits any more. Else the kernel gives the caller EIO.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                LOG.error("the kernel refuses our answer %s", message[0].hex(), exc_info=error)

    def _interrupt(self, unique: int) -> None:
        """A signal has come to who waits. A read ends; a write only if the program is to end."""
        writer = self._writers.get(unique)
        if writer is None or self._nursery is None or pending_signals.is_to_end(writer):
            self._stop_waiting(unique, OSError(errno.EINTR, "a signal came"))
        else:
            self._nursery.start_soon(self._wait_for_end, unique, writer)

    async def _wait_for_end(self, unique: int, writer: int) -> None:
        if await pending_signals.wait_for_end(writer, lambda: unique in self._waiting):
            self._stop_waiting(unique, OSError(errno.EINTR, "a signal came"))

    def _stop_waiting(self, unique: int, error: OSError) -> None:
        """Tell the file, so that it keeps what it would have given; _give_late does the rest."""
        try:
            self._waiting[unique].fail(error)
        except Exception as bug:
            errno_of(bug, "end of a wait")

    def _release(self, handle: int) -> None:
        try:
            self._operations.files.pop(handle).release()
        except Exception as error:
            errno_of(error, "release")


def _nothing() -> None:
    """For who needs not know."""
