"""The constants of constants.pxd, for Python."""

include "constants.pxd"
