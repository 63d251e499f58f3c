"""Read before any test imports the library: which fastconv is tested, and how its threads wait."""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

# `python -m pytest` looks for packages in the checkout first: where that is not compiled, the installed package is meant
if not any(CHECKOUT.glob("fastconv/_executor.*.so")):
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != CHECKOUT]

# tests have more threads than cores, and one that waits must not spin
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Python processes that tests start take the installed package, not the checkout they may stand in
os.environ["PYTHONSAFEPATH"] = "1"
