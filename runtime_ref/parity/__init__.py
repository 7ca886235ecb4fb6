"""Parity: what was exported against the reference, on real and hard pictures.

`check`: the comparison; `cases`: what is compared; `metrics`, `tolerances`: how near, and how near is near enough;
`verdict`: what came of it; `diagnosis`: why a file fails; `reports`: how it is shown.
"""
