"""What a packet of a [[load]] costs, and whether a million a second keep up with the clock.

The card of server-64: 64 queues, 4096 flows, rx-usecs 50, and all else that the machine does. In
mlx5's way the wait begins with the first frame; in ice's, the preset's own, 50 us pass from one
interrupt to the next, so there are half as many interrupts again.

What a packet costs that is sent is there for honesty: senders are an event for each.

What one more packet costs when NAPI takes it with others: the difference of two loads whose
interrupts are as many, since each waits for a millisecond, with 25 and with 50 packets each.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import pseudokern.machine
from bench.figure import Figure, Result, interleaved, ratio
from bench.interrupts import SLICE, u_ns
from pseudokern import compiled
from pseudokern.drivers.nic import Nic
from pseudokern.machine.description import load
from pseudokern.machine.machine import Machine

PRESET = Path(pseudokern.machine.__file__).parent / "presets/server-64.toml"
FLOWS = 4096
RATE_HZ = 1_000_000
BATCHED_HZ = 1_600_000
SENT_HZ = 100_000
WARM_UP_NS = 100_000_000
TURN_NS = 20_000_000
TURNS = 4  # in one repeat
NS_PER_S = 1_000_000_000
MUST_REACH_REAL_TIME = 1
MUST_REACH_U = 1


def measure(repeats: int) -> list[Result]:
    machines = {
        "mlx5": new_machine("mlx5", RATE_HZ, 50),
        "ice": new_machine("ice", RATE_HZ, 50),
        "few": new_machine("mlx5", BATCHED_HZ, 1000),
        "many": new_machine("mlx5", 2 * BATCHED_HZ, 1000),
        "sent": new_machine("mlx5", 0, 50, f'tx_rate = "{SENT_HZ} Hz"'),
    }
    found = interleaved(
        repeats * TURNS,
        u=u_ns,
        **{name: partial(real_ns, machine) for name, machine in machines.items()},
    )
    second = {name: [spent / TURN_NS for spent in found[name]] for name in machines}
    build = "compiled" if compiled.is_compiled() else "interpreted"
    packets = BATCHED_HZ * TURN_NS / NS_PER_S
    pairs = zip(found["few"], found["many"], strict=True)
    found["batched"] = [(many - few) / packets for few, many in pairs]
    mlx5, ice, sent = (median(second[name]) for name in ("mlx5", "ice", "sent"))
    return [
        Figure(
            "real time of a second with 1 M packets, 64 queues, rx-usecs 50",
            mlx5,
            "x",
            MUST_REACH_REAL_TIME,
            f"{mlx5 * NS_PER_S / RATE_HZ:.0f} ns a packet; {_interrupts_a_packet(machines['mlx5'])}"
            " interrupts each",
        ),
        Figure("its share of a core", 100 * mlx5, "%", None, f"{build}, one thread"),
        Figure(
            "the same in ice's way, 50 us from interrupt to interrupt",
            ice,
            "x",
            MUST_REACH_REAL_TIME,
            f"{_interrupts_a_packet(machines['ice'])} interrupts a packet",
        ),
        Figure(
            "one more packet under NAPI, with others",
            ratio(found, "batched", "u"),
            "U",
            MUST_REACH_U,
            f"{median(found['batched']):.0f} ns; U is {median(found['u']):.0f} ns",
        ),
        Figure(
            "real time of a second in which 64 CPUs send 100,000 frames, tx-usecs 8",
            sent,
            "x",
            None,
            f"{sent * NS_PER_S / SENT_HZ:.0f} ns a frame, with all else that the machine does",
        ),
    ]


def new_machine(style: str, rate_hz: int, usecs: int, more: str = "") -> Machine:
    """server-64 with a load, after a while. more: lines of the load's table."""
    text = PRESET.read_text().replace("[load]\n", "[[load]]\n")
    text = text.replace('style = "ice"', f'style = "{style}"').replace('rate = "40 Hz"', "rate = 0")
    text += f'\n[[load]]\ndevice = "eth0"\nrate = "{rate_hz} Hz"\nflows = {FLOWS}\n{more}\n'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        machine = Machine(load(file.name), seed=1)
    wanted = {"adaptive-rx": 0, "adaptive-tx": 0, "rx-usecs": usecs, "rx-frames": 0}
    ethtool = _card(machine).ethtool
    ethtool.set_coalescing({name: wanted[name] for name in wanted if name in ethtool.coalesce})
    real_ns(machine, WARM_UP_NS)
    return machine


def _card(machine: Machine) -> Nic:
    return next(device for device in machine.devices if isinstance(device, Nic))


def real_ns(machine: Machine, duration_ns: int = TURN_NS) -> float:
    """CPU time of so much simulated time, on a machine that goes on from where it is."""
    timeline = machine.timeline
    until_ns = timeline.now_ns + duration_ns
    began = time.process_time_ns()
    while not timeline.run(until_ns, SLICE):
        continue
    return time.process_time_ns() - began


def _interrupts_a_packet(machine: Machine) -> str:
    machine.pc.fold_counts()
    card = _card(machine)
    total = sum(desc.total for _, desc in card.sources if desc is not None)
    return f"{total / card.received().packets:.2f}"
