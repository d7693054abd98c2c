"""Runtimes: the class that every one derives from, where they are registered, and those that come with isobench."""
