"""Take pasted text apart into the files that it shows.

Known are the ways in which people paste several files at once:

    == /proc/interrupts             a heading of its own, also with ==> and <== as head writes it
    $ cat /proc/interrupts          a prompt with the command
    /proc/irq/24/node:0             what grep -r . prints, file by file

Text without any of them is /proc/interrupts. Quoting ("> "), carriage returns and the colours of
terminals are taken away first.
"""

import re

from pseudokern.machine.snapshot_files import Recording

_PATH = r"/?((?:proc|sys)/[^\s<>|;'\"*]*[^\s<>|;:'\"*])"
_HEADINGS = (
    re.compile(rf"^\s*=+>?\s*{_PATH}(?:\s+<=+|\s+\(.*\)|:)?\s*$"),
    re.compile(rf"^\S*[^\n]*[$#>%]\s*(?:sudo\s+)?(?:cat|head|more|less)\s+(?:-\S+\s+)*{_PATH}\s*$"),
    re.compile(rf"^\s*(?:cat\s+)?{_PATH}\s*:?\s*$"),
)
# Any other command or heading ends the file before it.
_OTHER_HEADING = re.compile(r"^\s*==+>?\s*\S|^[\w.@~:/\[\] -]*[$#]\s+[a-z]\S*(?:\s.*)?$")
_GREPPED = re.compile(r"^/?((?:proc|sys)/(?:[^\s:]|(?<=[0-9a-f]):(?=[0-9a-f]{2}[:.]))*):(.*)$")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_QUOTE = re.compile(r"^(?:> ?)+")


def read_text(text: str) -> Recording:
    """The files that text shows."""
    lines = _unquoted(_COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    files: dict[str, str] = {}
    current, found = "proc/interrupts", []
    has_heading = False
    for line in lines:
        if grepped := _GREPPED.match(line):
            files[grepped[1]] = files.get(grepped[1], "") + grepped[2] + "\n"
            continue
        heading = next((match[1] for each in _HEADINGS if (match := each.match(line))), None)
        if heading is None and not _OTHER_HEADING.match(line):
            found.append(line)
            continue
        if "".join(found).strip():
            files.setdefault(current, "\n".join(found) + "\n")
        has_heading = True
        current, found = heading or "", []
    if "".join(found).strip():
        files.setdefault(current, "\n".join(found) + "\n")
    files.pop("", None)
    if has_heading and "proc/interrupts" not in files:
        _find_interrupts(files)
    return Recording(files)


def _find_interrupts(files: dict[str, str]) -> None:
    """A copy of /proc may lie anywhere: what ends like the path will do."""
    for path in list(files):
        if path.endswith("/interrupts"):
            files["proc/interrupts"] = files[path]
            return


def _unquoted(lines: list[str]) -> list[str]:
    """Without the marks of a reply, if nearly all lines have them."""
    filled = [line for line in lines if line.strip()]
    quoted = [line for line in filled if line.startswith(">")]
    if not filled or len(quoted) * 10 < len(filled) * 9:
        return lines
    return [_QUOTE.sub("", line) for line in lines]
