"""The engines of second opinions, one file a library. Which there are, and what they need: `sessions/opinions.py`."""
