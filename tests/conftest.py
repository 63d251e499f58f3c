"""Read before any test imports the library: tests have more threads than cores, and one that waits must not spin."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Python processes that tests start take the installed package, not the checkout they may stand in
os.environ["PYTHONSAFEPATH"] = "1"
