import errno

raise OSError(errno.ENOSPC, "No space left on device")
