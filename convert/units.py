"""Binary units, as memory is counted in."""

MIB = 1 << 20
GIB = 1 << 30
