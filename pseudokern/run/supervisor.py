"""Boot a machine, mount it, run it, and shut it down when somebody asks.

Somebody is a signal, a write to sys/kernel/debug/pseudokern/halt, the end of --for, or the end of
the program that the machine was booted for.
"""

import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio

from pseudokern.fs.tree import Tree
from pseudokern.machine.machine import Machine
from pseudokern.run.fuse_session import FuseSession
from pseudokern.run.options import BootOptions
from pseudokern.run.pacer import Pacer

if TYPE_CHECKING:
    from pseudokern.run.journal import Player

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_machine(options: BootOptions, ready: Callable[[], None]) -> None:
    """Run the machine until it is shut down; ready() is called once it is mounted.

    MountError, BootError  in one line why it cannot; then nothing is mounted
    """
    logging.basicConfig(format="%(name)s: %(message)s")
    with ExitStack() as cleanup:
        machine = Machine(options.description, options.seed)
        if options.clock == "wall":
            machine.boot_time_s = int(time.time())
        machine.clock.set_mode(options.clock)
        machine.clock.set_speed(options.speed)
        if options.for_ns is not None:
            machine.clock.end_ns = machine.timeline.now_ns + options.for_ns
        tree = Tree(machine, owner_uid=os.geteuid())
        player = _open_journals(options, machine, tree, cleanup)
        # Who asks us to stop from here on is heard once we can unmount.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        cleanup.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, SIGNALS)
        session = FuseSession.mount(tree, options.at, allow_other=True, covers=options.covers)
        cleanup.callback(session.unmount)
        pacer = Pacer(machine, session.poll, player)
        session.on_wake, session.on_write = pacer.catch_up, pacer.hurry
        # The machine is there to stay: a collection of garbage need not look at it.
        gc.freeze()
        gc.enable()
        trio.run(_supervise, options, machine, session, pacer, ready)


def _open_journals(
    options: BootOptions, machine: Machine, tree: Tree, cleanup: ExitStack
) -> "Player | None":
    """Begin what --record and --replay ask for; BootError if a file is not as it must be."""
    if options.record is None and options.replay is None:
        return None
    from pseudokern.run import journal  # 3 ms, for json, that few runs need

    if options.record is not None:
        recorder = journal.Recorder(options.record, machine.timeline, machine.boot_time_s)
        cleanup.callback(recorder.close)
        tree.on_write = recorder.note
        tree.on_chmod = recorder.note_mode
    if options.replay is None:
        return None
    recorded = journal.read_journal(options.replay)
    machine.boot_time_s = recorded.boot_time_s
    return journal.Player(recorded, tree)


async def _supervise(
    options: BootOptions,
    machine: Machine,
    session: FuseSession,
    pacer: Pacer,
    ready: Callable[[], None],
) -> None:
    halting = trio.Event()
    machine.halting.on_done(halting.set)
    # nohup ignores the hangup for us.
    heard = [each for each in SIGNALS if each != signal.SIGHUP or not _is_ignored(each)]
    with trio.open_signal_receiver(*heard) as signals:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_halt_on_signal, signals, halting)
            nursery.start_soon(_halt_when_unmounted, session, halting)
            nursery.start_soon(pacer.run)
            if options.exit_when_done:
                nursery.start_soon(_halt_at_end, pacer, halting)
            if options.lives_with is not None:
                nursery.start_soon(_halt_with_process, options.lives_with, halting)
            ready()
            await halting.wait()
            session.unmount()
            nursery.cancel_scope.cancel()


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN


async def _halt_on_signal(signals: AsyncIterator[int], halting: trio.Event) -> None:
    async for _ in signals:
        halting.set()


async def _halt_when_unmounted(session: FuseSession, halting: trio.Event) -> None:
    await session.serve()
    halting.set()


async def _halt_at_end(pacer: Pacer, halting: trio.Event) -> None:
    await pacer.ended.wait()
    halting.set()


async def _halt_with_process(pidfd: int, halting: trio.Event) -> None:
    await trio.lowlevel.wait_readable(pidfd)
    halting.set()
