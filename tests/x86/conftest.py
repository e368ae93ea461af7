"""The PC of tests/pc_fixtures.py."""

from tests.pc_fixtures import edge, level, line, pc

__all__ = ["edge", "level", "line", "pc"]
