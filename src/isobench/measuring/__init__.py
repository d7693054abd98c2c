"""Measuring: the Cases of a plan -> Results.

`runner` takes one Case after the other, or `turns` all of them block by block; `case` is one of them at work, and
`judging` what came of its runs. `calibrating` measures how far identical runs differ.
"""
