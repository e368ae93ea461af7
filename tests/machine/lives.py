"""A random life for a machine with loads and programs: what is done to it, step by step."""

from contextlib import suppress

from hypothesis import strategies as st

from pseudokern.irq.manage import irq_set_affinity
from pseudokern.kernel.cpumask import CpuMask
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine
from tests.fs.conftest import Files

MS = 1_000_000
DEBUG = "/sys/kernel/debug/pseudokern"
CPUS = 4

# Without programs of [load], which would flush TLBs of others: kernel time that nobody can count.
BOARD = """
[machine]
cpus = 4
kernel = "{kernel}"

[load]
user = "{user}%"
tlb = "0 Hz"
call = "0 Hz"

[[device]]
name = "eth0"
driver = "pseudokern.drivers.nic"
style = "{style}"
queues = {queues}

[[device]]
name = "nvme0"
driver = "pseudokern.drivers.nvme"
queues = 2
"""
WEB = """
[[application]]
name = "web"
kind = "server"
device = "eth0"
threads = {threads}
steering = "{steering}"
work = "{work} us"
rcvbuf = "16 KB"
"""
DB = """
[[application]]
name = "db"
kind = "io"
device = "nvme0"
depth = {depth}
threads = {threads}
"""

rates_khz = st.integers(0, 300) | st.just(4000)
masks = st.integers(1, (1 << CPUS) - 1)
cpu_lists = st.sampled_from(["0", "1", "2-3", "0-3", "1,3"])
# Each queue of the drive keeps a CPU: what the last one leaves ends without an interrupt.
switched = st.sampled_from([1, 3])
lines = (
    st.builds("cpus={}".format, cpu_lists)
    | st.builds("threads={}".format, st.integers(1, 3))
    | st.builds("policy=other priority=0 nice={}".format, st.integers(-20, 19))
    | st.builds("policy={0[0]} priority={0[1]}".format, st.sampled_from([("fifo", 9), ("rr", 3)]))
    | st.sampled_from(["off", "on", "pinned=each", "pinned=no", "work=1us", "work=30us"])
)
# What takes time for which there is a count in /proc; more_steps has the rest.
steps = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 2 * MS)),
    st.tuples(st.just("run"), st.integers(1, 2 * MS)),
    st.tuples(st.just("rate"), rates_khz, st.integers(1, 30)),
    st.tuples(st.just("depth"), st.integers(0, 8)),
    st.tuples(st.just("move"), st.integers(0, 3), masks),
    st.tuples(st.just("down"), switched),
    st.tuples(st.just("up"), switched),
    st.tuples(st.just("rps"), st.integers(0, 3), st.integers(0, (1 << CPUS) - 1)),
    st.tuples(st.just("usecs"), st.sampled_from([0, 3, 50])),
    st.tuples(st.just("web"), lines),
    st.tuples(st.just("db"), lines | st.builds("depth={}".format, st.integers(1, 32))),
)
more_steps = steps | st.one_of(
    st.tuples(st.just("down"), st.just(2)),
    st.tuples(st.just("up"), st.just(2)),
    st.tuples(st.just("ring"), st.sampled_from([64, 256, 4096])),
    st.tuples(st.just("channels"), st.integers(1, 4)),
    st.tuples(st.just("threaded"), st.booleans()),
    st.tuples(st.just("defer"), st.sampled_from([0, 20_000]), st.integers(0, 3)),
    st.tuples(st.just("coalesce"), st.sampled_from([0, 0x107, 0x21F])),
    st.tuples(st.just("steal"), st.sampled_from(["cpus=1-2 share=30% burst=300us", "off"])),
    st.tuples(st.just("updown"), st.booleans()),
    st.tuples(st.just("xdp"), st.lists(st.integers(0, 4), max_size=5)),
)


@st.composite
def boards(draw: st.DrawFn) -> str:
    """A machine file."""
    text = BOARD.format(
        kernel=draw(st.sampled_from(["6.12", "6.1", "6.18"])),
        user=draw(st.sampled_from([0, 20])),
        style=draw(st.sampled_from(["igb", "mlx5", "ice", "bnxt", "mlx4"])),
        queues=draw(st.integers(1, 4)),
    )
    if draw(st.booleans()):
        text += WEB.format(
            threads=draw(st.integers(1, 3)),
            steering=draw(st.sampled_from(["hash", "cpu"])),
            work=draw(st.integers(1, 30)),
        )
    if draw(st.booleans()):
        text += DB.format(depth=draw(st.integers(1, 16)), threads=draw(st.integers(1, 2)))
    return text


class Life:
    """One machine, and what is done to it."""

    def __init__(self, folder, board: str) -> None:
        self.folder = folder
        path = folder / "machine.toml"
        path.write_text(board)
        self.machine = Machine(load(str(path)), 0)
        self.files = Files(self.machine)
        self.nic, self.drive = (
            next(device for device in self.machine.devices if device.name == name)
            for name in ("eth0", "nvme0")
        )

    def run(self, duration_ns: int) -> None:
        self.files.run_for(duration_ns)

    def write(self, path: str, text: str) -> None:
        self.files.write(f"{DEBUG}/{path}", text)

    def do(self, step) -> None:
        what, *values = step
        getattr(self, f"_do_{what}")(*values)

    def _do_run(self, duration_ns: int) -> None:
        self.run(duration_ns)

    def _do_rate(self, rate_khz: int, flows: int) -> None:
        self.write("load/eth0", f"rate={rate_khz}kHz flows={flows}" if rate_khz else "off")

    def _do_depth(self, depth: int) -> None:
        self.write("load/nvme0", f"depth={depth} read=60%" if depth else "off")

    def _do_move(self, number: int, mask: CpuMask) -> None:
        mask &= self.machine.kernel.online
        descs = [desc for _, desc in self.nic.sources if desc is not None and desc.actions]
        if mask and descs and self.nic.is_up:
            irq_set_affinity(descs[number % len(descs)], mask)

    def _do_down(self, cpu: int) -> None:
        if self.machine.kernel.is_online(cpu):
            self.machine.pc.hotplug.down(cpu)

    def _do_up(self, cpu: int) -> None:
        if not self.machine.kernel.is_online(cpu):
            self.machine.pc.hotplug.up(cpu)

    def _do_rps(self, number: int, mask: CpuMask) -> None:
        self.nic.napi.rps_cpus[number] = mask
        self.nic.napi.apply()

    def _do_usecs(self, usecs: int) -> None:
        ethtool, wanted = self.nic.ethtool, {"adaptive-rx": 0, "rx-usecs": usecs}
        with suppress(OSError):  # some drivers have rules for how long that may be
            known = ethtool.coalescing()
            ethtool.set_coalescing({name: wanted[name] for name in wanted if name in known})

    def _do_web(self, line: str) -> None:
        if "web" in self.machine.applications:
            self.write("applications/web", line)

    def _do_db(self, line: str) -> None:
        if "db" in self.machine.applications:
            self.write("applications/db", line)

    def _do_ring(self, size: int) -> None:
        self.nic.set_ring_size(size)

    def _do_channels(self, count: int) -> None:
        kinds = {"combined", "rx", "tx"} & self.nic.ethtool.channels().keys()
        with suppress(OSError):  # some drivers can have no more than at first
            self.nic.ethtool.set_channels(dict.fromkeys(kinds, count))

    def _do_xdp(self, actions: list[int]) -> None:
        """A program that returns these in turn, or none."""
        text = f"from itertools import cycle\n\nturns = cycle({actions})\n"
        (self.folder / "xdp.py").write_text(f"{text}decide = lambda frame: next(turns)\n")
        self.write("xdp/eth0", "./xdp.py:decide" if actions else "off")

    def _do_threaded(self, threaded: bool) -> None:
        self.nic.napi.threaded = threaded
        self.nic.napi.apply()

    def _do_defer(self, timeout_ns: int, polls: int) -> None:
        napi = self.nic.napi
        napi.gro_flush_timeout_ns, napi.defer_hard_irqs = timeout_ns, polls
        napi.apply()

    def _do_coalesce(self, value: int) -> None:
        self.write("nvme/nvme0/features", f"0x08 {value:#x}")

    def _do_steal(self, line: str) -> None:
        self.write("steal", line)

    def _do_updown(self, up: bool) -> None:
        (self.nic.open if up else self.nic.close)()

    def come_to_rest(self) -> None:
        """Nobody offers anything any more, and all that is under way ends."""
        if self.nic.load is not None:
            self.write("load/eth0", "off")
        self.write("load/nvme0", "off")
        for name in self.machine.applications:
            self.write(f"applications/{name}", "off")
        self.run(100 * MS)
