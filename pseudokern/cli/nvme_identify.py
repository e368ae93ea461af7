"""List drives, and say who a controller is, as nvme does: list and id-ctrl.

Not there: -H of id-ctrl, -v of both.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pseudokern.cli.nvme_device import NvmeError, open_device, parse

_LIST_OPTIONS = {"output-format": "o:", "verbose": "v"}
_ID_OPTIONS = {
    "output-format": "o:", "raw-binary": "b", "human-readable": "H", "vendor-specific": "v",
}  # fmt: skip
_LIST_COLUMNS = (21, 21, 20, 40, 9, 26, 16, 8)
_LIST_HEAD = ("Node", "Generic", "SN", "Model", "Namespace", "Usage", "Format", "FW Rev")
_SUFFIXES = ("", "k", "M", "G", "T", "P")
THOUSAND = 1000
_NO_GUID = "00000000-0000-0000-0000-000000000000"

# In the order of nvme, which is nearly that of the structure.
_FIELDS = (
    "vid", "ssvid", "sn", "mn", "fr", "rab", "ieee", "cmic", "mdts", "cntlid", "ver", "rtd3r",
    "rtd3e", "oaes", "ctratt", "rrls", "cntrltype", "fguid", "crdt1", "crdt2", "crdt3", "nvmsr",
    "vwci", "mec", "oacs", "acl", "aerl", "frmw", "lpa", "elpe", "npss", "avscc", "apsta", "wctemp",
    "cctemp", "mtfa", "hmpre", "hmmin", "tnvmcap", "unvmcap", "rpmbs", "edstt", "dsto", "fwug",
    "kas", "hctma", "mntmt", "mxtmt", "sanicap", "hmminds", "hmmaxd", "nsetidmax", "endgidmax",
    "anatt", "anacap", "anagrpmax", "nanagrpid", "pels", "domainid", "megcap", "sqes", "cqes",
    "maxcmd", "nn", "oncs", "fuses", "fna", "vwc", "awun", "awupf", "icsvscc", "nwpc", "acwu",
    "ocfs", "sgls", "mnan", "maxdna", "maxcna", "subnqn", "ioccsz", "iorcsz", "icdoff", "fcatt",
    "msdbd", "ofcs",
)  # fmt: skip
_HEXADECIMAL = {"vid", "ssvid", "ver", "frmw", "sqes", "cqes", "vwc"}
_LARGE = {"tnvmcap", "unvmcap", "megcap", "maxdna"}  # text in JSON
_WIDTHS = {"sn": 20, "mn": 40, "fr": 8}
_POWER_STATE = (
    "max_power", "flags", "entry_lat", "exit_lat", "read_tput", "read_lat", "write_tput",
    "write_lat", "idle_power", "idle_scale", "active_power", "active_power_work", "active_scale",
)  # fmt: skip


def list_drives(nvme: Path, arguments: Sequence[str]) -> str:
    _, texts, _ = parse("list", arguments, _LIST_OPTIONS)
    style = texts.get("output-format", "normal")
    if style not in ("normal", "json"):
        raise NvmeError("Invalid output format")
    names = sorted(path.name for path in nvme.iterdir()) if nvme.is_dir() else []
    drives = {name: _read(nvme / name) for name in names}
    if style == "json":
        return _as_json({"Devices": [_listed(name, found) for name, found in drives.items()]})
    rows = [_LIST_HEAD, tuple("-" * width for width in _LIST_COLUMNS)]
    rows += [_row(name, found) for name, found in drives.items()]
    return "".join(
        " ".join(f"{cell:<{width}}" for cell, width in zip(row, _LIST_COLUMNS, strict=True)) + "\n"
        for row in rows
    )


def _row(name: str, found: Mapping[str, str]) -> tuple[str, ...]:
    sector = int(found["sector"])
    size = int(found["nsze"]) * sector
    number, suffix = _scaled(size)
    usage = f"{number:6.2f} {suffix:>2}B / {number:6.2f} {suffix:>2}B"
    generic = f"/dev/ng{name.removeprefix('nvme')}n1"
    layout = f"{sector:3} {'':>2}B + {0:2} B"
    return (f"/dev/{name}n1", generic, found["sn"], found["mn"], "1", usage, layout, found["fr"])


def _listed(name: str, found: Mapping[str, str]) -> dict[str, object]:
    sectors, sector = int(found["nsze"]), int(found["sector"])
    return {
        "NameSpace": 1,
        "DevicePath": f"/dev/{name}n1",
        "Firmware": found["fr"],
        "ModelNumber": found["mn"],
        "SerialNumber": found["sn"],
        "UsedBytes": sectors * sector,
        "MaximumLBA": sectors,
        "PhysicalSize": sectors * sector,
        "SectorSize": sector,
    }


def _scaled(size: float) -> tuple[float, str]:
    place = 0
    while size >= THOUSAND:
        size, place = size / THOUSAND, place + 1
    return size, _SUFFIXES[place]


def id_ctrl(nvme: Path, arguments: Sequence[str]) -> str | bytes:
    options, texts, rest = parse("id-ctrl", arguments, _ID_OPTIONS)
    device = open_device("identify controller" if rest else "id-ctrl", nvme, rest)
    style = texts.get("output-format", "normal")
    if style not in ("normal", "json", "binary"):
        raise NvmeError("Invalid output format")
    if "raw-binary" in options or style == "binary":
        return (device.folder / "identify_controller").read_bytes()
    found = _read(device.folder)
    if style == "json":
        return _json_of(found)
    lines = "".join(f"{name:<10}: {_shown(name, found)}\n" for name in _FIELDS)
    return (
        f"NVME Identify Controller:\n{lines}"
        f"ps      0 : mp:{int(found['mp']) / 100:.2f}W operational enlat:0 exlat:0 rrt:0 rrl:0\n"
        "            rwt:0 rwl:0 idle_power:- active_power:-\n"
        "            active_power_workload:-\n"
    )


def _shown(name: str, found: Mapping[str, str]) -> str:
    value = found.get(name, _NO_GUID if name == "fguid" else "0")
    if name == "ieee":
        return f"{int(value):06x}"
    if name in _HEXADECIMAL and value != "0":
        return f"{int(value):#x}"
    return f"{value:<{_WIDTHS.get(name, 0)}}"


def _json_of(found: Mapping[str, str]) -> str:
    shown: dict[str, object] = {}
    for name in _FIELDS:
        value = found.get(name, _NO_GUID if name == "fguid" else "0")
        is_text = name in _LARGE or not value.isdigit() or name in _WIDTHS
        shown[name] = f"{value:<{_WIDTHS.get(name, 0)}}" if is_text else int(value)
    state = dict.fromkeys(_POWER_STATE, 0)
    shown["psds"] = [{**state, "max_power": int(found["mp"])}]
    return _as_json(shown)


def _as_json(shown: Mapping[str, object]) -> str:
    return json.dumps(shown, indent=2, separators=(",", ":")) + "\n"


def _read(folder: Path) -> dict[str, str]:
    lines = (folder / "identify").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)
