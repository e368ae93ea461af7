"""Read [[application]] tables, and start what they say once all devices are in use.

The keys are those of the kind: drivers/application.py.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pseudokern.drivers.application import (
    APPLICATION_KEYS,
    IO_KEYS,
    SERVER_KEYS,
    Application,
    policy_problem,
)
from pseudokern.drivers.io_program import IoProgram
from pseudokern.drivers.keys import Key, Limits, quoted
from pseudokern.drivers.loaded_drive import LoadedDrive
from pseudokern.drivers.nic import Nic
from pseudokern.drivers.server import Server
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
}

Options = Mapping[str, Any]


def read_applications(
    source: Source, limits: Limits, devices: Sequence[DeviceDescription], find_driver: FindDriver
) -> tuple[Options, ...]:
    """The keys of each; what is wrong is reported to source."""
    drivers = {device.name: device.driver for device in devices}
    found: list[Options] = []
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
        keys = {**APPLICATION_KEYS, **own}
        source.report_unknown(spot, values, keys if own else {**keys, **SERVER_KEYS, **IO_KEYS})
        options = source.read(spot, values, keys, limits)
        if {"policy", "priority"} <= options.keys() and (problem := policy_problem(options)):
            source.report(spot, "priority", f"priority {problem.what}", problem.hint)
        name, device = options.get("name"), options.get("device")
        if any(name == other.get("name") for other in found):
            source.report(spot, "name", f"name is {quoted(name)} again", "give each its own")
        if isinstance(device, str) and device not in drivers:
            what = f"device is {quoted(device)}"
            source.report(spot, "device", what, "name a [[device]] of this machine")
        elif isinstance(device, str) and own:
            driver = find_driver(drivers[device], source.path.parent)
            if not (isinstance(driver, type) and issubclass(driver, base)):
                what = f"device is {quoted(device)}, which is not {noun}"
                source.report(spot, "device", what, f"kind {quoted(kind)} needs one")
            elif kind == "server" and any(
                other.get("kind") == kind and other.get("device") == device for other in found
            ):
                what = f"device is {quoted(device)}, which has a server already"
                source.report(spot, "device", what, "give that one more threads")
        found.append(options)
    return tuple(found)


def start_applications(machine: "Machine") -> None:
    """Let them begin. What cannot be is told in the log."""
    pc, kernel = machine.pc, machine.kernel
    by_name = {device.name: device for device in machine.devices}
    kernel.sched = Scheduler(kernel, pc.smp.send_reschedule, pc.apic_timers.ticks.leave_idle)
    for options in machine.description.applications:
        device = by_name[options["device"]]
        application: Application
        try:
            if isinstance(device, Nic):
                application = Server(pc, kernel.sched, options, device)
            else:
                assert isinstance(device, LoadedDrive)
                application = IoProgram(pc, kernel.sched, options, device)
        except OSError as error:
            text = f"{options['name']}: cannot start: {error.strerror}"
            kernel.log.printk(Level.ERR, text)
            continue
        machine.applications[application.name] = application
        application.start()
