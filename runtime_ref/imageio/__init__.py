"""Photos and disparity maps in files, as phones write and read them. Pixels in, pixels out; nothing is rendered."""

from .depth_upsampling import filled_disparity, is_coarse, upsampled_disparity
from .disparity import read_disparity, write_disparity
from .embedded_depth import embedded_disparity
from .photo import Photo, check_goal, read_photo, write_photo

__all__ = [
    "Photo",
    "check_goal",
    "embedded_disparity",
    "filled_disparity",
    "is_coarse",
    "read_disparity",
    "read_photo",
    "upsampled_disparity",
    "write_disparity",
    "write_photo",
]
