"""Find the class of a driver: one of ours by its module, a user's own by its file."""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from pseudokern.drivers.device import Device, PciDevice
from pseudokern.drivers.keys import did_you_mean
from pseudokern.drivers.place_of_error import line_of

PACKAGE = "pseudokern.drivers"
_HERE = Path(__file__).parent
_NOT_DRIVERS = {
    "__init__",
    "answers",
    "application",
    "application_line",
    "arrivals",
    "block_drive",
    "burst_loop",
    "bursts",
    "coalescing_rules",
    "device",
    "dim",
    "fed_moderation",
    "fed_queue",
    "intx",
    "io_load",
    "io_poll",
    "io_program",
    "io_task",
    "irq_calls",
    "itr",
    "keys",
    "load",
    "lcore",
    "loaded_drive",
    "moderation",
    "net_device",
    "net_load",
    "net_senders",
    "nic_coalescing",
    "nic_ethtool",
    "nic_features",
    "nic_keys",
    "nic_hash_fields",
    "nic_link",
    "nic_napi",
    "nic_ops",
    "nic_ports",
    "nic_results",
    "nic_rxfh",
    "nic_stat_names",
    "nic_stats",
    "nic_styles",
    "nic_traffic",
    "nic_tx",
    "nic_tx_results",
    "nic_xdp",
    "pci_keys",
    "poll_mode",
    "programs",
    "rate_moderation",
    "registry",
    "place_kinds",
    "place_of_error",
    "replaceable",
    "rss",
    "rx_queue",
    "server",
    "sqpoll",
    "steal",
    "test_lines",
    "traffic",
    "tx_cleaner",
    "tx_interrupt",
    "tx_ring",
    "tx_timeout",
    "user_port",
    "vfio",
    "xdp",
    "xdp_program",
}


def find_driver(name: str, base_dir: Path) -> type[Device]:
    """The driver that name stands for: "pseudokern.drivers.nic", or "./card.py" from base_dir.

    LookupError(what, hint)  there is none, or more than one
    """
    module = _load_file(name, base_dir) if name.endswith(".py") else _import(name)
    drivers = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Device)
        and value not in (Device, PciDevice)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    ]
    if len(drivers) != 1:
        what = f'driver "{name}" has {len(drivers)} classes that are a Device'
        raise LookupError(what, "it needs exactly one; begin the others' names with _")
    return drivers[0]


@cache
def names() -> list[str]:
    """Our own drivers."""
    stems = sorted(path.stem for path in _HERE.glob("*.py"))
    return [f"{PACKAGE}.{stem}" for stem in stems if stem not in _NOT_DRIVERS]


def _import(name: str) -> ModuleType:
    known = names()
    if name not in known:
        hint = did_you_mean(name, known) or "write the path of your own as ./NAME.py"
        raise LookupError(f'unknown driver "{name}"', hint)
    return importlib.import_module(name)


def _load_file(name: str, base_dir: Path) -> ModuleType:
    path = (base_dir / name).resolve()
    module_name = f"pseudokern_user_driver_{abs(hash(str(path))):x}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise LookupError(f'driver "{name}" is not there', f"it would be {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        line = line_of(error, path)
        what = f'driver "{name}", line {line}: {type(error).__name__}: {error}'
        raise LookupError(what, "mend it") from None
    return module
