"""The ground floor: optics, tiling, pyramid, pipeline, bundle, sessions and parity. Knows nothing of PyTorch."""
