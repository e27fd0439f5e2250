"""Names that callers choose from: pyrep/const.py."""

from enum import Enum


class RenderMode(Enum):
    """Two of its eight."""

    OPENGL = 0
    OPENGL3 = 6
