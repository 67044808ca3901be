"""Estimates of cycles for a Cortex-M4: what QEMU executes, by the core's published timings.

:mod:`~tinymia.device.cycles.counter` counts exactly which instruction followed which (a plugin of
QEMU), :mod:`~tinymia.device.cycles.disassembly` knows what they are, and
:mod:`~tinymia.device.cycles.timing` what each takes. How the result was held against published
cycles: README.md in this folder.
"""
