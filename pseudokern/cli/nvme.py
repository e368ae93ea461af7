"""Show and set features of NVMe controllers, as nvme-cli does, for a drive of a mounted machine.

The arguments, the output and the errors are those of nvme-cli 2.3. Everything is read from and
written to DIR/sys/kernel/debug/pseudokern/nvme/NAME/features.

Not there: features with a buffer (-d, -l), and what -H says of feature 0x0b.
"""

import errno
import getopt
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from pseudokern.cli.at import at_option, check_shows_machine, write_once

NVME = Path("sys/kernel/debug/pseudokern/nvme")
MOST_FEATURES = 256
VECTOR_CONFIGURATION = 0x09
NUMBER_OF_QUEUES = 0x07
CHANGED, SUPPORTED = 8, 3
CHANGEABLE = 4
DO_NOT_RETRY = 0x4000

_DEVICE = re.compile(r"(?:.*/)?(nvme[0-9]+)(?:n[0-9]+)?")

_NAMES = {
    0x01: "Arbitration",
    0x02: "Power Management",
    0x04: "Temperature Threshold",
    0x05: "Error Recovery",
    0x06: "Volatile Write Cache",
    0x07: "Number of Queues",
    0x08: "Interrupt Coalescing",
    0x09: "Interrupt Vector Configuration",
    0x0A: "Write Atomicity Normal",
    0x0B: "Async Event Configuration",
}
_SELECTIONS = {0: "Current", 1: "Default", 2: "Saved", 3: "Supported capabilities", 8: "Changed"}

_INVALID_FIELD = 0x02
_SEQUENCE_ERROR = 0x0C
_NOT_SAVEABLE = 0x10D
_STATUS = {
    _INVALID_FIELD: "Invalid Field in Command: A reserved coded value or an unsupported value in "
    "a defined field",
    _SEQUENCE_ERROR: "Command Sequence Error: The command was aborted due to a protocol violation "
    "in a multi-command sequence",
    _NOT_SAVEABLE: "Feature Identifier Not Saveable: The Feature Identifier specified does not "
    "support a saveable value",
}

_GET_OPTIONS = {
    "feature-id": "f:", "namespace-id": "n:", "sel": "s:", "data-len": "l:", "raw-binary": "b",
    "cdw11": "c:", "uuid-index": "U:", "human-readable": "H",
}  # fmt: skip
_SET_OPTIONS = {
    "namespace-id": "n:", "feature-id": "f:", "value": "v:", "cdw12": "c:", "uuid-index": "U:",
    "data-len": "l:", "data": "d:", "save": "s",
}  # fmt: skip
_BYTES = {"feature-id", "sel", "uuid-index"}
_WORDS = {"namespace-id", "cdw11", "cdw12", "data-len"}


class NvmeError(Exception):
    """What nvme says before it ends with status 1."""


class Feature(NamedTuple):
    value: int
    default: int


@click.command(
    "nvme",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],
    },
)
@at_option()
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(context: click.Context, directory: Path, arguments: tuple[str, ...]) -> None:
    """Show and set features of NVMe drives, as nvme-cli does.

    \b
        pseudokern nvme get-feature /dev/nvme0 -f 8 -H
        pseudokern nvme set-feature /dev/nvme0 -f 8 -v 0x107   # 8 completions, 100 us
        pseudokern nvme set-feature /dev/nvme0 -f 9 -v 0x10002  # but not for vector 2
    """
    check_shows_machine(directory)
    commands = {"get-feature": _get_feature, "set-feature": _set_feature}
    if not arguments or arguments[0] not in commands:
        said = f" {arguments[0]!r}" if arguments else ""
        raise click.UsageError(f"no such command{said}; there are {' and '.join(commands)}")
    try:
        click.echo(commands[arguments[0]](directory / NVME, arguments[1:]), nl=False)
    except NvmeError as error:
        click.echo(str(error), err=True)
        context.exit(1)


def _get_feature(nvme: Path, arguments: Sequence[str]) -> str:
    options, rest = _parse("get-feature", arguments, _GET_OPTIONS)
    features = _read(_open("get-feature", nvme, rest))
    selection, wanted = options.get("sel", 0), options.get("feature-id", 0)
    if selection > CHANGED:
        raise NvmeError(f"invalid 'select' param:{selection}")
    shown = ""
    for number in [wanted] if wanted else range(MOST_FEATURES):
        index = options.get("cdw11", 0) & 0xFFFF if number == VECTOR_CONFIGURATION else 0
        feature = features.get((number, index))
        if feature is None or selection in (4, 5, 6, 7):
            if wanted:
                raise NvmeError(_status(_INVALID_FIELD))
        elif selection != CHANGED or feature.value != feature.default:
            is_readable = "human-readable" in options
            shown += _show(number, feature, selection, is_readable=is_readable)
    return shown


def _show(number: int, feature: Feature, selection: int, *, is_readable: bool) -> str:
    match selection:
        case 1 | 2:  # nothing is ever saved, and then the saved value is the default
            value = feature.default
        case 3:
            value = 0 if number == NUMBER_OF_QUEUES else CHANGEABLE
        case _:
            value = feature.value
    name = f"{_hexadecimal(number, 2)} ({_NAMES[number]})"
    line = f"get-feature:{name}, {_SELECTIONS[selection]} value:{_hexadecimal(value, 8)}\n"
    if selection == SUPPORTED:
        return line + ("  Feature is changeable\n" if value & CHANGEABLE else "")
    return line + (_fields(number, value) if is_readable else "")


def _set_feature(nvme: Path, arguments: Sequence[str]) -> str:
    options, rest = _parse("set-feature", arguments, _SET_OPTIONS)
    folder = _open("set-feature", nvme, rest)
    number, value = options.get("feature-id", 0), options.get("value", 0)
    if not number:
        raise NvmeError("feature-id required param")
    if "save" in options:
        raise NvmeError(_status(_NOT_SAVEABLE))
    try:
        write_once(folder / "features", f"{number:#x} {value & 0xFFFFFFFF:#x}")
    except OSError as error:
        is_late = error.errno == errno.EBUSY
        raise NvmeError(_status(_SEQUENCE_ERROR if is_late else _INVALID_FIELD)) from None
    cdw12 = _hexadecimal(options.get("cdw12", 0), 8)
    name = f"{_hexadecimal(number, 2)} ({_NAMES[number]})"
    return f"set-feature:{name}, value:{_hexadecimal(value, 8)}, cdw12:{cdw12}, save:0\n"


def _open(verb: str, nvme: Path, rest: Sequence[str]) -> Path:
    """The directory of a controller, by the path of its device or of its disk."""
    if not rest:
        raise NvmeError(f"{verb}: {os.strerror(errno.EINVAL)}")
    match = _DEVICE.fullmatch(rest[0])
    if match is None or not (nvme / match[1]).is_dir():
        raise NvmeError(f"{rest[0]}: {os.strerror(errno.ENOENT)}")
    return nvme / match[1]


def _read(folder: Path) -> Mapping[tuple[int, int], Feature]:
    """Features by their number; those of a vector by that, too."""
    features: dict[tuple[int, int], Feature] = {}
    for line in (folder / "features").read_text().splitlines():
        number, value, default = (int(word, 16) for word in line.split())
        index = value & 0xFFFF if number == VECTOR_CONFIGURATION else 0
        features[number, index] = Feature(value, default)
    return features


def _parse(
    verb: str, arguments: Sequence[str], known: Mapping[str, str]
) -> tuple[dict[str, int], list[str]]:
    """Options with their numbers, and what else there is; flags are 1."""
    long = [name + ("=" if short.endswith(":") else "") for name, short in known.items()]
    by_short = {short[0]: name for name, short in known.items()}
    try:
        found, rest = getopt.gnu_getopt(list(arguments), "".join(known.values()), long)
    except getopt.GetoptError as error:
        raise NvmeError(f"{verb}: {error.msg}") from None
    options: dict[str, int] = {}
    for option, word in found:
        name = option[2:] if option.startswith("--") else by_short[option[1:]]
        options[name] = _number(name, word) if known[name].endswith(":") else 1
    return options, rest


def _number(name: str, word: str) -> int:
    if name == "data":
        raise NvmeError("no feature of these drives has data")
    kind, most = "long suffixed integer", (1 << 64) - 1
    if name in _BYTES:
        kind, most = "byte", 255
    elif name in _WORDS:
        kind, most = "word", (1 << 32) - 1
    try:
        number = int(word, 8 if re.fullmatch("0[0-7]+", word) else 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise NvmeError(f"Expected {kind} argument for '{name}' but got '{word}'!")
    return number


def _hexadecimal(number: int, digits: int) -> str:
    """printf's %#0*x with the widths that nvme gives it: no 0x before a zero."""
    return f"{number:#0{digits + 2}x}" if number else "0" * digits


def _status(status: int) -> str:
    return f"NVMe status: {_STATUS[status]}({status | DO_NOT_RETRY:#x})"


def _fields(number: int, value: int) -> str:
    """What -H adds."""
    low, is_on = value & 0xFFFF, "Enabled" if value & 1 else "Disabled"
    match number:
        case 0x01:
            burst = "No limit" if value & 7 == 7 else str(1 << (value & 7))
            return (
                f"\tHigh Priority Weight   (HPW): {(value >> 24) + 1}\n"
                f"\tMedium Priority Weight (MPW): {(value >> 16 & 0xFF) + 1}\n"
                f"\tLow Priority Weight    (LPW): {(value >> 8 & 0xFF) + 1}\n"
                f"\tArbitration Burst       (AB): {burst}\n"
            )
        case 0x02:
            hint = value >> 5 & 7
            hints = (
                "No Workload",
                "Extended Idle Period with a Burst of Random Writes",
                "Heavy Sequential Writes",
            )
            said = hints[hint] if hint < len(hints) else "Reserved"
            return f"\tWorkload Hint (WH): {hint} - {said}\n\tPower State   (PS): {value & 0x1F}\n"
        case 0x04:
            return _temperature(value)
        case 0x05:
            return (
                "\tDeallocated or Unwritten Logical Block Error Enable (DULBE): "
                f"{'Enabled' if value >> 16 & 1 else 'Disabled'}\n"
                "\tTime Limited Error Recovery                          (TLER): "
                f"{low * 100} ms\n"
            )
        case 0x06:
            return f"\tVolatile Write Cache Enable (WCE): {is_on}\n"
        case 0x07:
            return (
                f"\tNumber of IO Completion Queues Allocated (NCQA): {(value >> 16) + 1}\n"
                f"\tNumber of IO Submission Queues Allocated (NSQA): {low + 1}\n"
            )
        case 0x08:
            return (
                f"\tAggregation Time     (TIME): {(low >> 8) * 100} usec\n"
                f"\tAggregation Threshold (THR): {(low & 0xFF) + 1}\n"
            )
        case 0x09:
            return (
                f"\tCoalescing Disable (CD): {'True' if value >> 16 & 1 else 'False'}\n"
                f"\tInterrupt Vector   (IV): {low}\n"
            )
        case 0x0A:
            return f"\tDisable Normal (DN): {'True' if value & 1 else 'False'}\n"
    return ""


def _temperature(value: int) -> str:
    kind, sensor, kelvin = value >> 20 & 3, value >> 16 & 0xF, value & 0xFFFF
    kinds = ("Over Temperature Threshold", "Under Temperature Threshold", "Reserved", "Reserved")
    sensors = {0: "Composite Temperature", **{n: f"Temperature Sensor {n}" for n in range(1, 9)}}
    return (
        f"\tThreshold Type Select         (THSEL): {kind} - {kinds[kind]}\n"
        f"\tThreshold Temperature Select (TMPSEL): {sensor} - {sensors.get(sensor, 'Reserved')}\n"
        f"\tTemperature Threshold         (TMPTH): {kelvin - 273}°C ({kelvin} Kelvin)\n"
    )
