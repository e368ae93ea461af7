"""Read [[application]] tables, and start what they say once all devices are in use.

The keys are those of the kind: drivers/application.py.
"""

import errno
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pseudokern.drivers.application import (
    APPLICATION_KEYS,
    IO_KEYS,
    POLL_MODE_KEYS,
    SERVER_KEYS,
    AnyApplication,
    policy_problem,
)
from pseudokern.drivers.application_line import words_of
from pseudokern.drivers.io_program import IoProgram
from pseudokern.drivers.keys import Key, Limits, quoted
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.poll_mode import PollMode
from pseudokern.drivers.server import Server
from pseudokern.kernel.kthread_task import let_threads_compete
from pseudokern.kernel.printk import Level
from pseudokern.kernel.sched import Scheduler
from pseudokern.machine.devices import DeviceDescription, FindDriver
from pseudokern.machine.source import Source, Spot

if TYPE_CHECKING:
    from pseudokern.machine.machine import Machine

TABLE = "application"
_KINDS: Mapping[str, tuple[Mapping[str, Key], type, str]] = {
    "server": (SERVER_KEYS, Nic, "a network card with queues"),
    "io": (IO_KEYS, LoadedDrive, "a drive"),
    "poll-mode": (POLL_MODE_KEYS, Nic, "a network card with queues"),
}

NEW = "new"  # the file to which new ones are written


class ApplicationDescription(NamedTuple):
    """What a program is: options by the keys of its kind, and the words for them."""

    options: Mapping[str, Any]
    words: Mapping[str, str]


def keys_of(kind: object) -> Mapping[str, Key]:
    """The keys of a kind; of none that there is: those that all have."""
    own = _KINDS[str(kind)][0] if str(kind) in _KINDS else {}
    return {**APPLICATION_KEYS, **own}


def new_application(machine: "Machine", description: ApplicationDescription) -> AnyApplication:
    """A program that has not been started. EINVAL: its device is not for such a program."""
    pc, sched, options = machine.pc, machine.kernel.sched, description.options
    assert sched is not None
    device = next((d for d in machine.devices if d.name == options["device"]), None)
    application: AnyApplication
    if options["kind"] == "server" and isinstance(device, Nic):
        application = Server(pc, sched, options, device)
    elif options["kind"] == "poll-mode" and isinstance(device, Nic):
        application = PollMode(pc, sched, options, device)
    elif options["kind"] == "io" and isinstance(device, LoadedDrive):
        application = IoProgram(pc, sched, options, device)
    else:
        _, _, noun = _KINDS[options["kind"]]
        what = f"device is {quoted(options['device'])}, which is not {noun} of this machine"
        raise OSError(errno.EINVAL, what)
    application.words = description.words
    return application


def read_applications(
    source: Source, limits: Limits, devices: Sequence[DeviceDescription], find_driver: FindDriver
) -> tuple[ApplicationDescription, ...]:
    """What they are; what is wrong is reported to source."""
    drivers = {device.name: device.driver for device in devices}
    found: list[ApplicationDescription] = []
    tables: Any = source.tables[TABLE]
    if not isinstance(tables, list):
        hint = "write [[application]] above each"
        source.report(Spot("[application]", TABLE), "", "application is not a list of tables", hint)
        return ()
    for number, values in enumerate(tables):
        spot = Spot(f"[[application]] {number + 1}", TABLE, number)
        if not isinstance(values, dict):
            hint = "write [[application]] above each"
            source.report(spot, "", "application is not a list of tables", hint)
            continue
        kind = values.get("kind")
        own, base, noun = _KINDS.get(str(kind), ({}, object, ""))
        keys = keys_of(kind)
        source.report_unknown(spot, values, keys if own else {**keys, **SERVER_KEYS, **IO_KEYS})
        options = source.read(spot, values, keys, limits)
        if {"policy", "priority"} <= options.keys() and (problem := policy_problem(options)):
            source.report(spot, "priority", f"priority {problem.what}", problem.hint)
        name, device = options.get("name"), options.get("device")
        others = [other.options for other in found]
        if any(name == other.get("name") for other in others):
            source.report(spot, "name", f"name is {quoted(name)} again", "give each its own")
        if name == NEW:
            source.report(spot, "name", f"name is {quoted(name)}", "choose another one")
        if isinstance(device, str) and device not in drivers:
            what = f"device is {quoted(device)}"
            source.report(spot, "device", what, "name a [[device]] of this machine")
        elif isinstance(device, str) and own:
            driver = find_driver(drivers[device], source.path.parent)
            if not (isinstance(driver, type) and issubclass(driver, base)):
                what = f"device is {quoted(device)}, which is not {noun}"
                source.report(spot, "device", what, f"kind {quoted(kind)} needs one")
            elif base is Nic and any(other.get("device") == device for other in others):
                what = f"device is {quoted(device)}, which has a program already"
                source.report(spot, "device", what, "give that one more threads")
        found.append(ApplicationDescription(options, words_of(values)))
    return tuple(found)


def start_applications(machine: "Machine") -> None:
    """Let them begin. What cannot be is told in the log."""
    begin_to_share(machine)
    for description in machine.description.applications:
        try:
            application = new_application(machine, description)
            application.start()
        except OSError as error:
            text = f"{description.options['name']}: cannot start: {error.strerror}"
            machine.kernel.log.printk(Level.ERR, text)
            continue
        machine.applications[application.name] = application


def begin_to_share(machine: "Machine") -> None:
    """Programs share CPUs from now on."""
    pc, programs = machine.pc, machine.programs
    running = programs.pause() if programs is not None else 0
    leave_idle = pc.apic_timers.ticks.leave_idle
    machine.kernel.sched = Scheduler(machine.kernel, pc.smp.send_reschedule, leave_idle)
    let_threads_compete(machine.irqs.kthreads, machine.kernel.sched)
    if programs is not None:
        vars(pc).pop("ksoftirqd", None)  # its threads are tasks now
        programs.share(running)
