"""Every test here has little memory and little time, but for slow ones and under AddressSanitizer, which takes more."""

import os
import signal

import pytest

from ..support.harness import SANITIZED

resource = pytest.importorskip("resource")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """64 MB of address space more than before, and five seconds of CPU."""
    if SANITIZED or pyfuncitem.get_closest_marker("slow"):
        return (yield)

    def late(*_):
        raise TimeoutError("more than five seconds of CPU")

    limits, before = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGPROF, late)
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (64 << 20), limits[1]))
    signal.setitimer(signal.ITIMER_PROF, 5)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
