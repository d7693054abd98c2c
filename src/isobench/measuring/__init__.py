"""Measuring: Case -> Result.

`case` measures one Case, `interleaving` several of them block by block; `evaluation` derives the figures of their runs,
and `case_records` describes model and environment. `calibration` measures how far identical runs differ.
"""
