"""Bind the session half of libfuse 2, which fusepy leaves out.

Follows libfuse 2.9, include/fuse.h and include/fuse_lowlevel.h. The structures are fusepy's.

fusepy can only run fuse_main(), which keeps its thread. A session can be fed one request at a
time instead, by whoever has the time for it.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

from pseudokern.run.mountpoint import MountError

# fuse_mount and fuse_new changed their arguments more than once. A plain lookup finds the
# oldest version, which takes the arguments for something else and crashes.
VERSION = b"FUSE_2.6"
SONAME = "libfuse.so.2"


class FuseArgs(ctypes.Structure):
    """struct fuse_args: an argv that libfuse may replace by its own."""

    _fields_ = [
        ("argc", ctypes.c_int),
        ("argv", ctypes.POINTER(ctypes.c_char_p)),
        ("allocated", ctypes.c_int),
    ]


class Libfuse:
    """The loaded library. Channels, sessions and file systems are bare pointers here."""

    def __init__(self) -> None:
        self.structures = _fusepy()
        library = self.structures._libfuse
        pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
        size = ctypes.c_size_t
        args = ctypes.POINTER(FuseArgs)
        self.mount = _versioned(library, "fuse_mount", pointer, text, args)
        self.new = _versioned(library, "fuse_new", pointer, pointer, args, pointer, size, pointer)
        self.unmount = _versioned(library, "fuse_unmount", None, text, pointer)
        self.destroy = _bind(library, "fuse_destroy", None, pointer)
        self.session = _bind(library, "fuse_get_session", pointer, pointer)
        self.channel_fd = _bind(library, "fuse_chan_fd", number, pointer)
        self.channel_bufsize = _bind(library, "fuse_chan_bufsize", size, pointer)
        self.process = _bind(library, "fuse_session_process", None, pointer, pointer, size, pointer)
        self.free_args = _bind(library, "fuse_opt_free_args", None, args)


@cache
def load() -> Libfuse:
    """The library, loaded when first asked for. MountError if the machine has none."""
    return Libfuse()


def call_quietly(function: Callable[[], Any]) -> tuple[Any, str]:
    """Call function; give its result and what it wrote to the standard error in C.

    libfuse and fusermount explain a refused mount there and nowhere else.
    """
    stderr = os.dup(2)
    with open(os.memfd_create("stderr"), "w+b", buffering=0) as said:
        os.dup2(said.fileno(), 2)
        try:
            result = function()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        said.seek(0)
        return result, said.read().decode(errors="replace")


def _fusepy() -> ModuleType:
    # fusepy would run ldconfig to find the name, which is the same on every Linux.
    os.environ.setdefault("FUSE_LIBRARY_PATH", SONAME)
    try:
        import fuse
    except OSError:
        raise MountError(
            "libfuse 2 is missing; install it with: apt-get install fuse3 libfuse2"
        ) from None
    module: ModuleType = fuse
    return module


def _bind(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments)((name, library))


def _versioned(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    dlvsym = ctypes.CDLL(None).dlvsym
    dlvsym.restype = ctypes.c_void_p
    dlvsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    address = dlvsym(library._handle, name.encode(), VERSION)
    if not address:
        raise MountError(
            f"libfuse has no {name} of version 2.6; install it with: apt-get install libfuse2"
        )
    return ctypes.CFUNCTYPE(result, *arguments)(address)
