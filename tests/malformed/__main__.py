"""python -m tests.malformed: the cases of each class, and the most seconds of CPU and megabytes that one takes, all readers.

Megabytes are by how much the process grows at most (Linux).
"""

import re
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from .harness import CLASSES


def resident(field):
    """The process's memory in MB: VmRSS now, VmHWM at most since `clear_refs`."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


class Measure:
    """A plugin of pytest that measures each case."""

    def __init__(self):
        self.seconds, self.megabytes = defaultdict(list), defaultdict(list)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        before, begin = resident("VmRSS"), time.process_time()
        try:
            return (yield)
        finally:
            seconds = time.process_time() - begin
            if name := re.search(r"\[.*?(T\d\d)b?-", pyfuncitem.name):
                self.seconds[name[1]].append((seconds, pyfuncitem.name))
                self.megabytes[name[1]].append((resident("VmHWM") - before, pyfuncitem.name))


plugin = Measure()
options = ["-m", "not slow", "-n", "0", "-q", "--no-header", "-p", "no:cacheprovider"]
if status := pytest.main([*options, str(Path(__file__).parent)], [plugin]):
    sys.exit(status)
print("class  cases  seconds     MB  the slowest; the largest")
for name in CLASSES:
    (seconds, slow), (megabytes, large) = max(plugin.seconds[name]), max(plugin.megabytes[name])
    print(f"{name}    {len(plugin.seconds[name]):5}  {seconds:7.3f}  {megabytes:5.1f}  {slow}; {large}")
print(f"all    {sum(map(len, plugin.seconds.values())):5}")
