"""The system: this machine's facts, its devices and who may measure on them, and other programs as processes."""
