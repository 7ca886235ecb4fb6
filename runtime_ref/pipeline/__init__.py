"""The portrait pipeline on the host: what every app has to have. The face is its modules, so that `--help` imports
no numpy for a stage's name.

`stage`: the networks' inputs and outputs; `session`: what computes one; `optics`: circles of confusion; `tiling`,
`plan`: tiles and their halos; `pyramid`: levels of photo and disparity; `portrait`: all of it, end to end.
"""
