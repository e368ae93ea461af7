"""Guess the device whose driver would name and number the interrupts of a function so."""

import re
from collections.abc import Iterable, Iterator

from pseudokern.drivers.nic_styles import STYLES
from pseudokern.machine.snapshot_functions import Function, Recorded

DRIVERS = "pseudokern.drivers"
BUSY_SHARE = 0.01  # of a card's interrupts: so much elsewhere than on its queues is no style's
MOST_QUEUES = 256


def known_device(function: Function, recorded: Recorded) -> dict[str, object] | None:
    """Name, driver and keys of the device that would have these vectors; None if none would."""
    if function.is_edu:
        return _edu(function, recorded)
    if function.line_names:
        name = function.line_names[0]
        if function.linux_driver == "i801_smbus" or name == "i801_smbus":
            return {"name": "smbus", "driver": f"{DRIVERS}.smbus"}
        if function.linux_driver == "8139cp":
            table: dict[str, object] = {"name": name, "driver": f"{DRIVERS}.rtl8139"}
            return with_rate(table, recorded.rate(function.line))
        return None
    names = [vector.name for vector in function.vectors]
    irqs = function.irqs
    in_order = [vector.index for vector in function.vectors] == list(range(len(names)))
    if not names or not in_order or irqs != list(range(irqs[0], irqs[0] + len(irqs))):
        return None
    return (
        _nic(function, names, recorded)
        or _nvme(function, names, recorded)
        or _single(function, names, recorded)
    )


def _edu(function: Function, recorded: Recorded) -> dict[str, object]:
    table: dict[str, object] = {"name": f"pci-{function.bdf}", "driver": f"{DRIVERS}.edu"}
    if function.vectors:
        table["name"] = function.vectors[0].name or table["name"]
    elif function.line_names:
        table |= {"name": function.line_names[0], "interrupt": "intx"}
    elif recorded.recording.get(f"proc/irq/{function.line}/smp_affinity"):
        row = recorded.rows.get(function.line)
        table["interrupt"] = "none" if row is not None and row.names else "freed"
    else:
        table["interrupt"] = "none"
    return table


def _nic(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    if any(vector.irq in recorded.managed for vector in function.vectors):
        return None
    for style_name, style in STYLES.items():
        for queues in {len(names) - 1, (len(names) - 1) // 2, len(names) // 3}:
            if not 1 <= queues <= MOST_QUEUES or (style_name == "e1000e" and queues > 1):
                continue
            for name in _interfaces(function, names):
                layout = style.vectors(name, function.bdf, queues)
                if [vector.name for vector in layout] != names or len(names) < style.least_vectors:
                    continue
                receiving = [
                    irq for irq, v in zip(function.irqs, layout, strict=True) if v.receives
                ]
                if _busy_elsewhere(function.irqs, receiving, recorded):
                    return None
                hints = [recorded.hints.get(irq, 0) for irq in function.irqs]
                in_use = min(queues, recorded.online.bit_count()) if style.follows_cpus else queues
                masks = style.hints(recorded.online, in_use) if style.hints else []
                ours = [masks[v.queue] if 0 <= v.queue < len(masks) else 0 for v in layout]
                if recorded.hints and hints != ours:
                    return None
                table: dict[str, object] = {
                    "name": name,
                    "driver": f"{DRIVERS}.nic",
                    "style": style_name,
                    "queues": queues,
                }
                return _with_rates(table, receiving, recorded)
    return None


def _interfaces(function: Function, names: list[str]) -> Iterator[str]:
    """What the interface of a card may be called that has vectors of these names."""
    seen = {""}
    if function.interface:
        seen.add(function.interface)
        yield function.interface
    for text in (names[0], names[-1]):
        words = re.split(r"-(?:rx|tx|rxtx|TxRx|input|output|config|event)\b", text)
        for word in (words[0], words[0].removeprefix("ice-")):
            if word not in seen:
                seen.add(word)
                yield word


def _busy_elsewhere(irqs: list[int], receiving: list[int], recorded: Recorded) -> bool:
    """Whether vectors that no traffic of ours reaches have had more than a little."""
    rates_hz = recorded.rates_hz
    total = sum(rates_hz.get(irq, 0.0) for irq in irqs)
    others = total - sum(rates_hz.get(irq, 0.0) for irq in receiving)
    return others > total * BUSY_SHARE


def _nvme(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    match = re.fullmatch(r"(nvme[0-9]+)q0", names[0])
    if match is None or len(names) < 2:
        return None
    if names != [f"{match[1]}q{number}" for number in range(len(names))]:
        return None
    is_known = recorded.recording.fixed is not None
    if is_known and set(function.irqs[1:]) - recorded.managed.keys():
        return None
    if _busy_elsewhere(function.irqs, function.irqs[1:], recorded):
        return None
    table: dict[str, object] = {
        "name": match[1],
        "driver": f"{DRIVERS}.nvme",
        "queues": len(names) - 1,
    }
    return _with_rates(table, function.irqs[1:], recorded)


def _single(function: Function, names: list[str], recorded: Recorded) -> dict[str, object] | None:
    """Devices of one busy vector."""
    if names == [f"ahci[{function.bdf}]"] and function.kind == "msi":
        table: dict[str, object] = {"name": "ahci", "driver": f"{DRIVERS}.ahci"}
        return with_rate(table, recorded.rate(function.irqs[0]))
    used = [name for name in names if name]
    if used and set(used) == {"xhci_hcd"} and names[: len(used)] == used:
        if len(names) != min(recorded.online.bit_count() + 1, 16) or function.kind != "msix":
            return None
        table = {"name": "xhci_hcd", "driver": f"{DRIVERS}.xhci", "used": len(used)}
        return with_rate(table, recorded.rate(function.irqs[0]))
    is_rng = function.identity.get("device") in ("0x1005", "0x1044")
    if is_rng and len(names) == 2 and names[1].endswith("-input"):
        name = names[1].removesuffix("-input")
        if names[0] == f"{name}-config" and not recorded.rate(function.irqs[0]):
            table = {"name": name, "driver": f"{DRIVERS}.virtio_rng"}
            return with_rate(table, recorded.rate(function.irqs[1]))
    return None


def with_rate(table: dict[str, object], rate_text: str | int) -> dict[str, object]:
    return table | {"rate": rate_text} if rate_text else table


def _with_rates(
    table: dict[str, object], irqs: Iterable[int], recorded: Recorded
) -> dict[str, object]:
    rates = [recorded.rate(irq) for irq in irqs]
    if not any(rates):
        return table
    return table | {"rate": rates[0] if len(set(rates)) == 1 else rates}
