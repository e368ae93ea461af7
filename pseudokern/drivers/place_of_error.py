"""Find the line of a user's file that an exception came through."""

from pathlib import Path


def line_of(error: BaseException, path: Path) -> int:
    """The last line of path that the error came through; of a SyntaxError where it is; or 0."""
    line, frame = getattr(error, "lineno", None) or 0, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(path):
            line = frame.tb_lineno
        frame = frame.tb_next
    return int(line)
