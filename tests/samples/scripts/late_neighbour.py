"""Imported by a_world_of_its_own.py when its script has ended."""

WIDTH = 4
