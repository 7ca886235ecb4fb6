"""Core ML where Apple's systems run it: on this Mac, or on an iPhone that is connected to it."""
