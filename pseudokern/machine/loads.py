"""Read [[load]] tables: what each device has to do, from boot on.

    [[load]]
    device = "nvme0"
    depth = 32

The keys are those of the device: Device.load_keys(). One [[load]] without a device may stand for
[load], what ordinary programs do; TOML does not let a file have both kinds of table.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pseudokern.drivers.keys import Key, Limits, Name, quoted
from pseudokern.kernel.printk import Level
from pseudokern.machine.devices import DeviceDescription, FindDriver
from pseudokern.machine.parts import LOAD_KEYS
from pseudokern.machine.source import Source, Spot

if TYPE_CHECKING:
    from pseudokern.machine.machine import Machine

_DEVICE = "device"


class LoadDescription(NamedTuple):
    """What a device has to do."""

    device: str
    options: Mapping[str, Any]


def read_loads(
    source: Source, limits: Limits, devices: Sequence[DeviceDescription], find_driver: FindDriver
) -> tuple[dict[str, Any], tuple[LoadDescription, ...]]:
    """The keys of [load], and those of each device; what is wrong is reported to source."""
    drivers = {device.name: device.driver for device in devices}
    usage: dict[str, Any] | None = None
    loads = []
    tables: Any = source.tables["load"]
    for number, values in enumerate(tables):
        spot = Spot(f"[[load]] {number + 1}", "load", number)
        if not isinstance(values, dict):
            source.report(spot, "", "load is not a list of tables", "write [[load]] above each")
            continue
        name = values.get(_DEVICE)
        if name is None:
            if usage is not None:
                hint = "give all but one of them a device"
                source.report(spot, "", "device is missing", hint)
            keys: Mapping[str, Key] = LOAD_KEYS
            source.report_unknown(spot, values, (*keys, _DEVICE))
            usage = source.read(spot, values, keys, limits)
            continue
        if name not in drivers:
            source.report(
                spot, _DEVICE, f"device is {quoted(name)}", "name a [[device]] of this machine"
            )
            continue
        own = find_driver(drivers[name], source.path.parent).load_keys()
        if not own:
            what = f"device is {quoted(name)}, which takes no load"
            source.report(spot, _DEVICE, what, "leave it out")
            continue
        keys = {_DEVICE: Key(Name()), **own}
        source.report_unknown(spot, values, keys)
        options = source.read(spot, values, keys, limits)
        loads.append(LoadDescription(str(options.pop(_DEVICE, "")), options))
    if usage is None:
        usage = source.read(Spot("[load]", "load"), {}, LOAD_KEYS, limits)
    return usage, tuple(loads)


def begin_loads(machine: "Machine") -> None:
    """Let it begin, once all devices are in use. What cannot be is told in the log."""
    by_name = {device.name: device for device in machine.devices}
    for load in machine.description.loads:
        try:
            by_name[load.device].set_load(load.options)
        except OSError as error:
            machine.kernel.log.printk(Level.ERR, f"{load.device}: no load: {error.strerror}")
