"""Show what a card is plugged into, as ethtool does without an option."""

from collections.abc import Mapping, Sequence

from pseudokern.cli.ethtool_device import Device, EthtoolError

NO_DATA = 75  # the exit status
QUESTIONS = 5  # that ethtool asks, one after the other
COLUMN = 24  # where modes begin
PARTNER_COLUMN = 37
NOT_REPORTED = "Not reported"


def show_link(device: Device, _rest: Sequence[str]) -> str:
    """Each of its questions fails by itself."""
    try:
        found = device.read("link")
    except OSError as error:
        try:
            device.refuse(error)
        except EthtoolError as said:
            text = "\n".join([str(said)] * QUESTIONS)
            raise EthtoolError(text, NO_DATA, "No data available\n") from None
    return f"Settings for {device.name}:\n" + "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Mapping[str, str]) -> list[str]:
    negotiates = found["negotiates"] == "yes"
    can = "Yes" if negotiates else "No"
    modes = found.get("modes", "")
    lines = [
        f"\tSupported ports: [ {found.get('ports', '')} ]",
        *_modes("Supported link modes:", modes, COLUMN),
        f"\tSupported pause frame use: {found['pause']}",
        f"\tSupports auto-negotiation: {can}",
        f"\tSupported FEC modes: {NOT_REPORTED}",
        *_modes("Advertised link modes:", modes if negotiates else "", COLUMN),
        f"\tAdvertised pause frame use: {found['pause'] if negotiates else 'No'}",
        f"\tAdvertised auto-negotiation: {can}",
        f"\tAdvertised FEC modes: {NOT_REPORTED}",
    ]
    if "partner" in found:
        lines += [
            *_modes("Link partner advertised link modes:", found["partner"], PARTNER_COLUMN),
            "\tLink partner advertised pause frame use: Symmetric",
            "\tLink partner advertised auto-negotiation: Yes",
            f"\tLink partner advertised FEC modes: {NOT_REPORTED}",
        ]
    speed = f"{found['speed']}Mb/s" if "speed" in found else "Unknown!"
    lines += [
        f"\tSpeed: {speed}",
        f"\tDuplex: {'Full' if 'speed' in found else 'Unknown! (255)'}",
        f"\tAuto-negotiation: {'on' if negotiates else 'off'}",
        f"\tPort: {found['port']}",
        f"\tPHYAD: {found['address']}",
        "\tTransceiver: internal",
    ]
    if "mdix" in found:
        lines.append(f"\tMDI-X: {found['mdix']}")
    if "wake" in found:
        lines += [f"\tSupports Wake-on: {found['supports-wake']}", f"\tWake-on: {found['wake']}"]
    if "messages" in found:
        lines += [
            "        Current message level: 0x00000007 (7)",
            "                               drv probe link",
        ]
    return [*lines, f"\tLink detected: {found['link']}"]


def _modes(title: str, modes: str, column: int) -> list[str]:
    """A row for each word; the first stands behind the title."""
    rows = [row.replace(",", " ") for row in modes.split()] or [NOT_REPORTED]
    first = f"\t{title:<{column}}{rows[0]}"
    return [first, *(f"\t{'':<{column}}{row}" for row in rows[1:])]
