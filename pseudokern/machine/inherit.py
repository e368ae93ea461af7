"""Let a machine file say only what is different from another machine.

    [machine]
    base = "server-64"      # a preset, or a file relative to this one
    cmdline = "threadirqs"

Keys of tables replace the base's; a [[device]] of a name that the base has changes that device,
any other is added behind. So is a [[load]]; the base's [load] then is one of them.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

Tables: TypeAlias = Mapping[str, Any]


def merge(base: Tables, own: Tables) -> tuple[dict[str, Any], dict[int, int]]:
    """The tables of both, and for each own device its place among all of them."""
    merged: dict[str, Any] = dict(base)
    for name, values in own.items():
        if isinstance(values, dict) and isinstance(base.get(name), dict):
            merged[name] = {**base[name], **values}
        elif name == "load" and name in base:
            merged[name] = [*_several(base[name]), *_several(values)]
        elif name != "device":
            merged[name] = values
    devices = list(base.get("device", []))
    places: dict[int, int] = {}
    own_devices = own.get("device", [])
    for index, device in enumerate(own_devices if isinstance(own_devices, list) else []):
        own_name = device.get("name") if isinstance(device, dict) else None
        place = next((n for n, other in enumerate(devices) if other.get("name") == own_name), None)
        if place is None or own_name is None:
            places[index] = len(devices)
            devices.append(device)
        else:
            places[index] = place
            devices[place] = {**devices[place], **device}
    if devices:
        merged["device"] = devices
    return merged, places


def _several(load: Any) -> list[Any]:
    """[[load]] tables; [load] is one without a device."""
    return load if isinstance(load, list) else [load]
