"""Find the line on which a table or a key of a TOML file stands.

tomllib forgets where it read something, and an error message without a line makes people search.
This looks at the text once more, after tomllib has accepted it, so it can trust the syntax.
"""

import re

# What may hide a bracket, a quote or a number sign: strings of four kinds, and comments.
_OPAQUE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*",
    re.DOTALL,
)
_HEADER = re.compile(r"\s*\[(\[)?([^\[\]]*)\]")
_KEY = re.compile(r"\s*([^=\[\]{},]+?)\s*=")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

Place = tuple[str, int, str]  # table, which of that name (0 if it is the only one), key or ""


def find_lines(text: str) -> dict[Place, int]:
    """Every table's and key's line, counted from 1.

    A key that is written in an inline table has no line of its own.
    """
    lines: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table, index = "", 0
    depth = 0
    original = text.split("\n")
    for number, line in enumerate(_blank_opaque(text).split("\n"), start=1):
        if depth == 0:
            if header := _HEADER.match(line):
                source = original[number - 1][header.start(2) : header.end(2)]
                table = _unquote(source)
                index = counts.get(table, 0)
                if header[1]:
                    counts[table] = index + 1
                lines[table, index, ""] = number
                continue
            if key := _KEY.match(line):
                source = original[number - 1][key.start(1) : key.end(1)]
                _note_key(lines, table, index, source, number)
        depth += sum(line.count(bracket) for bracket in "[{")
        depth -= sum(line.count(bracket) for bracket in "]}")
    return lines


def _note_key(lines: dict[Place, int], table: str, index: int, source: str, number: int) -> None:
    parts = [_unquote(part) for part in source.split(".")] if _is_dotted(source) else None
    if table == "" and parts is not None:
        lines.setdefault((parts[0], 0, ""), number)
        lines[parts[0], 0, parts[1]] = number
    else:
        lines[table, index, parts[0] if parts is not None else _unquote(source)] = number


def _is_dotted(source: str) -> bool:
    return "." in source and all(_BARE.fullmatch(part.strip()) for part in source.split("."))


def _unquote(source: str) -> str:
    source = source.strip()
    return source[1:-1] if source[:1] in ('"', "'") else source


def _blank_opaque(text: str) -> str:
    """Replace strings and comments by blanks, quotes of keys by letters, keeping every position."""
    return _OPAQUE.sub(lambda match: re.sub(r"[^\n]", "_", match[0]), text)
