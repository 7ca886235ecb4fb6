"""ARM without a phone: the runtimes' real aarch64 builds, emulated by QEMU's user mode on a Linux x86-64 machine.

Emulated time means nothing; results, and the number of instructions, are those of an ARM core.
"""
