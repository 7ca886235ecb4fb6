"""Photos and disparity maps in files, as phones write and read them. Pixels in, pixels out; nothing is rendered."""

from .disparity import read_disparity, write_disparity
from .embedded_depth import embedded_disparity
from .formats import Keep, check_goal, format_of, goal_beside
from .photo import Photo, read_photo, write_photo

__all__ = [
    "Keep",
    "Photo",
    "check_goal",
    "embedded_disparity",
    "format_of",
    "goal_beside",
    "read_disparity",
    "read_photo",
    "write_disparity",
    "write_photo",
]
