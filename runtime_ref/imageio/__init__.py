"""Photos and disparity maps in files, as phones write and read them. Pixels in, pixels out; nothing is rendered."""

from .brought import BroughtDisparity, DisparityKind, disparity_for, flatness_of
from .depth_upsampling import filled_disparity, is_coarse, upsampled_disparity
from .disparity import read_disparity, write_disparity
from .embedded_depth import embedded_disparity
from .formats import Keep, check_goal, format_of, goal_beside
from .photo import Photo, eight_bits, read_photo, write_photo

__all__ = [
    "BroughtDisparity",
    "DisparityKind",
    "Keep",
    "Photo",
    "check_goal",
    "disparity_for",
    "eight_bits",
    "embedded_disparity",
    "filled_disparity",
    "flatness_of",
    "format_of",
    "goal_beside",
    "is_coarse",
    "read_disparity",
    "read_photo",
    "upsampled_disparity",
    "write_disparity",
    "write_photo",
]
