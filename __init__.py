"""dofkit: train, export, prove and measure portrait-mode (shallow depth-of-field) networks on device."""

__version__ = "0.1.0"
