"""Write nonsense, and what is nearly sense, to every file of a mount; run as a program.

    python -m tests.mount.fuzzer DIR SEED WRITES

A write that takes too long ends the program with a word; what is refused is as it should be. The
clock is set going again after each write to its files, so that no write has to wait for ever.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from random import Random
from types import FrameType

from pseudokern.sim.quantity import QuantityError, parse_duration_ns

DEBUG = "sys/kernel/debug/pseudokern"
TOO_LONG_S = 20
LONGEST_ADVANCE_NS = 5_000_000
SIZES = (0, 1, 2, 3, 8, 40, 300, 4096, 5000)
HUGE = (65_536, 131_072, 200_000)
OFTEN = {
    "smp_affinity": 20,
    "smp_affinity_list": 20,
    "default_smp_affinity": 50,
    "online": 50,
    "irqctl": 1000,
}
COMMANDS = (
    "sim {name} {word} {flow} {word}", "sim {name} {word} {flow}", "sim {name} noaff {flow}",
    "del {name}", "edu {name} {n} msi", "edu {name} {n} intx", "unedu {name}",
    "request {name} {name} {flags} {mode}", "request {name} - {flags} hard",
    "free {name} {name}", "free {name} -",
    "raise {name} {n}", "raise {name} {n} {n}", "unhandled {name} {n}", "calls {name}",
    "inject {irq} {n}", "disable {name}", "enable {name}", "wake {name} {n}", "aff {name} {list}",
    "hint {name} {list}", "updhint {name} {list}",
)  # fmt: skip
FLAGS = (
    *("none", "shared", "oneshot", "rising", "falling", "high", "low"),
    *("nobalancing", "noautoen", "nothread", "percpu"),
)
WORDS = ("free", "wall", "1ms", "3ms", "0", "1", "2.5", "nan", "-1", "on", "off", "y", "n", "all")


class Fuzzer:
    """A stream of writes from one seed."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self._random = Random(seed)
        self._files = self._find_files()
        self._handlers: Counter[bytes] = Counter()  # of each line of irqctl
        self.results: Counter[str] = Counter()
        self._let_time_fly()

    def write(self) -> None:
        """One write to one file."""
        random = self._random
        path = random.choice(self._files)
        if random.random() < 0.02:
            path += random.choice(("x", "/x", "/../node", "\udcff", "0"))
        data = self._data(path)
        self.doing = f"{data[:200]!r} to {path}"
        signal.alarm(TOO_LONG_S)
        try:
            self._write(path, data)
        except OSError as error:
            self.results[error.strerror] += 1
        else:
            self.results["written"] += 1
            if path.endswith("irqctl") and data.split():
                self._note_handlers(data.split())
        if "/clock/" in path:
            self._let_time_fly()
        signal.alarm(0)

    def _let_time_fly(self) -> None:
        self._write(f"{DEBUG}/clock/mode", b"free")

    def _find_files(self) -> list[str]:
        """All but what ends the machine; those that take writes stand there more often."""
        found = []
        for top in ("proc", "sys"):
            for folder, _, files in os.walk(self._directory / top):
                for name in files:
                    path = os.path.relpath(os.path.join(folder, name), self._directory)
                    writable = (self._directory / path).stat().st_mode & 0o222
                    found += [path] * (OFTEN.get(name, 1) if writable else 1)
        return [path for path in sorted(found) if path != f"{DEBUG}/halt" and "panic" not in path]

    def _write(self, path: str, data: bytes) -> None:
        random = self._random
        flags = os.O_WRONLY
        for flag in (os.O_TRUNC, os.O_CREAT, os.O_APPEND):
            flags |= flag * random.randrange(2)
        file = os.open(self._directory / path, flags)
        try:
            if random.random() < 0.3:
                os.pwrite(file, data, random.choice((1, 7, 4096, 2**31, 2**40)))
            else:
                os.write(file, data)
        finally:
            os.close(file)

    def _data(self, path: str) -> bytes:
        random = self._random
        kind = random.random()
        if kind < 0.15:
            size = random.choice(HUGE) if random.random() < 0.02 else random.choice(SIZES)
            data = random.randbytes(size)
        elif path.endswith("irqctl") and kind < 0.95:
            data = self._command().encode("utf-8", "surrogateescape")
        elif kind < 0.5:
            data = f"{random.getrandbits(random.choice((2, 4, 4, 4, 9, 33, 70))):x}".encode()
        elif kind < 0.8:
            data = self._list().encode()
        else:
            data = random.choice(WORDS).encode()
        if random.random() < 0.1:
            at = random.randint(0, len(data))
            data = data[:at] + random.choice((b"\0", b",", b" ", b"\n", b"-", b"\xff")) + data[at:]
        if path.endswith("clock/advance") and not _is_short(data):
            data = b"1ms"
        return data + random.choice((b"", b"\n", b"\n"))

    def _note_handlers(self, words: list[bytes]) -> None:
        if words[0] == b"request":
            self._handlers[words[1]] += 1
        elif words[0] == b"free":
            self._handlers[words[1]] -= 1

    def _command(self) -> str:
        """A command. A line without a handler is left disabled: on Linux, too, a pin that is
        enabled without one interrupts for ever."""
        random = self._random
        name = random.choice("abcdef")
        command = random.choice(COMMANDS)
        if command.startswith("enable") and not self._handlers[name.encode()]:
            command = "disable {name}"
        return command.format(
            name=name,
            word=random.choice(("card", "nodom", "%s", "a/b", "\udcff", "x" * 300)),
            flow=random.choice(("simple", "edge", "level", "fasteoi")),
            flags=",".join(random.sample(FLAGS, random.randint(1, 2))),
            mode=random.choice(("hard", "none", "nullhard", "thread", "threadnone")),
            n=random.randint(-1, 9),
            irq=random.randint(0, 70),
            list=random.choice(("none", self._list())),
        )

    def _list(self) -> str:
        random = self._random
        first, second = random.randint(0, 5), random.randint(0, 5)
        return random.choice((f"{first}", f"{first}-{second}", f"{first},{second}", "0-N:1/2"))


def _is_short(data: bytes) -> bool:
    try:
        return parse_duration_ns(data.decode("latin-1").strip()) <= LONGEST_ADVANCE_NS
    except QuantityError:
        return True  # refused


def main() -> None:
    directory, seed, writes = sys.argv[1:]
    fuzzer = Fuzzer(Path(directory), int(seed))

    def give_up(_number: int, _frame: FrameType | None) -> None:
        sys.exit(f"a write takes for ever: {fuzzer.doing}")

    signal.signal(signal.SIGALRM, give_up)
    for _ in range(int(writes)):
        fuzzer.write()
    for result, times in fuzzer.results.most_common():
        print(f"{times:7} {result}")


if __name__ == "__main__":
    main()
