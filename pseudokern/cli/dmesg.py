"""Print the kernel log of a mounted machine, as util-linux's dmesg prints the real one."""

import errno
import os
import re
import sys
from pathlib import Path

import click

from pseudokern.cli.at import at_option, check_is_mounted

KMSG = Path("dev/kmsg")
LARGEST_RECORD = 8192
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


@click.command("dmesg")
@click.option("-w", "--follow", is_flag=True, help="Wait for what is logged next, until Ctrl-C.")
@at_option()
def command(follow: bool, directory: Path) -> None:
    """Print the kernel log of a machine.

    The times are seconds since it was switched on. The log is DIR/dev/kmsg, for programs that
    read /dev/kmsg.

    \b
        pseudokern dmesg
        pseudokern dmesg -w --at /tmp/server
    """
    check_is_mounted(directory)
    try:
        kmsg = os.open(directory / KMSG, os.O_RDONLY | (0 if follow else os.O_NONBLOCK))
    except OSError as error:
        why = os.strerror(error.errno or errno.EIO).lower()
        raise click.ClickException(
            f"{directory / KMSG} cannot be read: {why}; ask the user who booted the machine"
        ) from None
    out = sys.stdout.buffer
    try:
        while record := _read_record(kmsg):
            out.write(_shown(record))
            if follow:
                out.flush()
        out.flush()
    finally:
        os.close(kmsg)


def _read_record(kmsg: int) -> bytes:
    """The next record; nothing at the end, or when the machine is gone."""
    while True:
        try:
            return os.read(kmsg, LARGEST_RECORD)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENODEV, errno.ENOTCONN):
                return b""
            # EPIPE: the log has overwritten what came next; the read after it goes on behind.
            if error.errno != errno.EPIPE:
                raise


def _shown(record: bytes) -> bytes:
    """A record with the time in front; its other lines stand below the first."""
    prefix, _, rest = record.partition(b";")
    time_us = int(prefix.split(b",")[2])
    time = b"[%5d.%06d] " % divmod(time_us, 1_000_000)
    text = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), rest.partition(b"\n")[0])
    return time + text.replace(b"\n", b"\n" + b" " * len(time)) + b"\n"
