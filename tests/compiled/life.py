"""Live the life of a machine with whatever package Python finds, and write down what it was.

python life.py MACHINE STEPS OUT      STEPS is JSON: a list of [milliseconds, path, text]

OUT gets every file of the machine's /proc and /sys, read after each step and at the end. This file
is a program, not a test, and imports nothing of the tests: PYTHONPATH says which package it runs.
"""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pseudokern import compiled
from pseudokern.fs.attributes import Caller
from pseudokern.fs.tree import Tree
from pseudokern.kernel.oops import oops
from pseudokern.kernel.panic import KernelStopsError
from pseudokern.machine.description import Overrides, load
from pseudokern.machine.machine import Machine

NS_PER_MS = 1_000_000
SLICE = 125
CHUNK = 131_072
LOOKED_AT = (
    "/proc/interrupts",
    "/proc/softirqs",
    "/proc/stat",
    "/sys/kernel/debug/pseudokern/klog",
)
ROOT = Caller(uid=0, gid=0, pid=1)
# Who reads them waits, or takes something away.
NEVER_READ = ("/proc/kmsg", "/dev/kmsg", "/sys/kernel/debug/pseudokern/clock/advance")


def main(machine_name: str, steps: str, out: str) -> None:
    machine = Machine(load(machine_name, Overrides()), seed=3)
    machine.clock.set_mode("free")
    tree = Tree(machine)
    lines = [f"compiled {compiled.is_compiled()}"]
    for duration_ms, path, text in json.loads(steps):
        _run(machine, duration_ms * NS_PER_MS)
        if path:
            lines.append(f"{machine.timeline.now_ns} {path} {text!r}: {_write(tree, path, text)}")
        for looked_at in LOOKED_AT:
            lines.append(f"{looked_at} {hashlib.sha256(_read(tree, looked_at)).hexdigest()}")
    for path in sorted(_files(tree, "")):
        lines += [f"== {path}", _read(tree, path).decode(errors="replace")]
    lines.append(f"== the end, after {machine.timeline.events} events")
    Path(out).write_text("\n".join(lines))


def _run(machine: Machine, duration_ns: int) -> None:
    """What fails is reported, and the machine goes on, as run/pacer.py has it."""
    timeline = machine.timeline
    until_ns = timeline.now_ns + duration_ns
    done = False
    while not done:
        try:
            done = timeline.run(until_ns, SLICE)
        except KernelStopsError:
            continue
        except Exception as error:
            with suppress(KernelStopsError):
                oops(machine.kernel, error)


def _write(tree: Tree, path: str, text: str) -> str:
    try:
        file = tree.open(path, os.O_WRONLY, ROOT)
        file.write(text.encode(), 0)
        file.release()
    except OSError as error:
        return str(error)
    except KernelStopsError as error:
        return type(error).__name__
    return "ok"


def _read(tree: Tree, path: str) -> bytes:
    text = b""
    try:
        file = tree.open(path, os.O_RDONLY, ROOT)
        while isinstance(part := file.read(CHUNK, len(text)), bytes) and part:
            text += part
        file.release()
    except OSError as error:
        return text + str(error).encode()
    return text


def _files(tree: Tree, directory: str) -> Iterator[str]:
    for name, mode in tree.readdir(directory or "/"):
        path = f"{directory}/{name}"
        if stat.S_ISDIR(mode):
            yield from _files(tree, path)
        elif not stat.S_ISLNK(mode) and tree.getattr(path).mode & 0o444 and path not in NEVER_READ:
            yield path


if __name__ == "__main__":
    main(*sys.argv[1:])
