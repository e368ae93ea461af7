"""Read the [[device]] tables, each by the keys of its driver, and find what collides."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pseudokern.drivers.keys import Gsi, Key, Limits, Name, Text, did_you_mean, quoted
from pseudokern.machine.source import Source, Spot, Table

FIRST_FREE_SLOT = 2  # a Q35 board has its bridge and its graphics in the first two
LAST_FREE_SLOT = 30  # and its chipset in the last
BUSES = 256

_BUS_AND_SLOT = re.compile(r"([0-9a-f]{2}:[0-9a-f]{2})\.[0-7]$")

DEVICE_KEYS: Mapping[str, Key] = {
    "name": Key(Name(), required=True, doc='say what to call it, like name = "eth0"'),
    "driver": Key(
        Text(), required=True, doc='say who runs it, like driver = "pseudokern.drivers.nic"'
    ),
    "before": Key(Text(), doc="the device that is probed after it, if not all above it"),
}


class DriverClass(Protocol):
    """As much of a driver as a machine file has to do with."""

    @property
    def KEYS(self) -> Mapping[str, Key]: ...

    def load_keys(self) -> Mapping[str, Key]: ...


FindDriver = Callable[[str, Path], DriverClass]
"""find_driver(name, base_dir); LookupError(what, hint) if there is no such driver."""


class DeviceDescription(NamedTuple):
    """One device: its name, its driver's module path or file, its keys as the driver wants them."""

    name: str
    driver: str
    options: Mapping[str, Any]


class _Entry(NamedTuple):
    """A [[device]] table while it is being read."""

    spot: Spot
    values: Table
    driver: DriverClass | None


class _LineUse(NamedTuple):
    """Who uses an I/O APIC line, and how."""

    spot: Spot
    key: str
    gsi: int
    trigger: str
    shared: bool


def read_devices(
    source: Source, limits: Limits, find_driver: FindDriver
) -> tuple[DeviceDescription, ...]:
    """Every device that can be read; what is wrong with the others is reported to source."""
    entries = list(_entries(source, find_driver))
    slots = _free_slots(entries)
    devices: list[DeviceDescription] = []
    moves: list[tuple[Spot, str, str]] = []
    uses: list[_LineUse] = []
    owners: dict[tuple[str, object], Spot] = {}
    for entry in entries:
        values = dict(entry.values)
        keys = dict(DEVICE_KEYS)
        if entry.driver is not None:
            keys.update(entry.driver.KEYS)
            source.report_unknown(entry.spot, values, keys)
            if "bdf" in keys and "bdf" not in values:
                values["bdf"] = next(slots)
        options = source.read(entry.spot, values, keys, limits)
        for key in ("name", "bdf"):
            _report_taken(source, entry.spot, key, options.get(key), owners)
        uses += _line_uses(entry.spot, keys, options)
        if before := options.pop("before", None):
            moves.append((entry.spot, options.get("name", ""), before))
        devices.append(
            DeviceDescription(
                name=options.pop("name", ""),
                driver=options.pop("driver", ""),
                options=options,
            )
        )
    _report_line_conflicts(source, uses)
    for spot, name, before in moves:
        _move(source, spot, devices, name, before)
    return tuple(devices)


def _move(
    source: Source, spot: Spot, devices: list[DeviceDescription], name: str, before: str
) -> None:
    """Put a device in front of another, so that it is probed first."""
    names = [device.name for device in devices]
    if before == name or before not in names:
        hint = did_you_mean(before, [known for known in names if known != name])
        source.report(
            spot, "before", f"before is {quoted(before)}, no other device", hint or "name another"
        )
        return
    device = devices.pop(names.index(name))
    devices.insert([other.name for other in devices].index(before), device)


def _entries(source: Source, find_driver: FindDriver) -> Iterator[_Entry]:
    tables = source.tables.get("device", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        spot = Spot("", "device")
        source.report(spot, "", "device is not a list of tables", "write [[device]] above each")
        return
    for index, values in enumerate(tables):
        name = values.get("name", index + 1)
        spot = Spot(f"device {quoted(name)}", "device", index)
        yield _Entry(spot, values, _find(source, spot, values.get("driver"), find_driver))


def _find(
    source: Source, spot: Spot, driver: object, find_driver: FindDriver
) -> DriverClass | None:
    if not isinstance(driver, str):
        return None
    try:
        return find_driver(driver, source.path.parent)
    except LookupError as error:
        what, hint = (*map(str, error.args), "", "")[:2]
        source.report(spot, "driver", what, hint)
        return None


def _free_slots(entries: list[_Entry]) -> Iterator[str]:
    """PCI addresses for devices that name none, beside those that are named."""
    taken = {_bus_and_slot(entry.values.get("bdf")) for entry in entries}
    for bus in range(BUSES):
        for slot in range(FIRST_FREE_SLOT, LAST_FREE_SLOT + 1):
            if (place := f"{bus:02x}:{slot:02x}") not in taken:
                yield f"{place}.0"


def _bus_and_slot(bdf: object) -> str:
    match = _BUS_AND_SLOT.search(str(bdf).lower())
    return match[1] if match else ""


def _report_taken(
    source: Source, spot: Spot, key: str, value: object, owners: dict[tuple[str, object], Spot]
) -> None:
    if value is None:
        return
    owner = owners.setdefault((key, value), spot)
    if owner is spot:
        return
    line = source.line_of(owner, key)
    place = f" on line {line}" if line else ""
    source.report(
        spot,
        key,
        f"{key} {quoted(value)} is taken by {owner.where}{place}",
        "choose another, or leave it out" if key == "bdf" else "choose another",
    )


def _line_uses(
    spot: Spot, keys: Mapping[str, Key], options: Mapping[str, Any]
) -> Iterator[_LineUse]:
    for name, key in keys.items():
        gsi = options.get(name)
        if isinstance(key.kind, Gsi) and isinstance(gsi, int) and (gsi or not key.kind.optional):
            trigger = options.get("trigger") or key.kind.trigger
            shared = options.get("shared")
            yield _LineUse(
                spot, name, gsi, str(trigger), key.kind.shared if shared is None else bool(shared)
            )


def _report_line_conflicts(source: Source, uses: list[_LineUse]) -> None:
    """A line has one trigger, and more than one device only if each of them is willing."""
    first: dict[int, _LineUse] = {}
    for use in uses:
        other = first.setdefault(use.gsi, use)
        if other is use:
            continue
        line, owner = f"{use.key} {use.gsi}", other.spot.where
        if use.trigger != other.trigger:
            what = (
                f"{line} is {use.trigger}-triggered, but {owner} has it {other.trigger}-triggered"
            )
            source.report(use.spot, use.key, what, "choose another line")
        elif not (use.shared and other.shared):
            selfish = other if use.shared else use
            what = f"{line} is used by {owner} too, but {selfish.spot.where} does not share it"
            source.report(use.spot, use.key, what, "choose another line")
