"""Where memory runs out there is a MemoryError, nothing is leaked, and a model that there was is as good as before.

`python -m tests.faults` tries every allocation, these tests a few.
"""

import pytest

from .support import CAN_FAIL, build, phases, save

#: What CPython raises for want of memory in place of a MemoryError.
OF_PYTHON = {"RuntimeError: can't allocate lock", "RuntimeError: can't allocate read lock", "OSError ENOMEM"}


@pytest.mark.slow
@pytest.mark.skipif(not CAN_FAIL, reason="the failing allocator is for glibc, and needs a C compiler")
@pytest.mark.parametrize("lasting", [(), ("--lasting",)], ids=["one", "all_after_it"])
def test_any_allocation_may_fail(tmp_path, lasting):
    found = list(phases(build(tmp_path), save(tmp_path), "--most", "5", *lasting))
    assert [f["phase"] for f in found] == ["load", "first call", "later call", "other shape", "save"]
    for f in found:
        assert f["outcomes"].keys() <= {"MemoryError", "right"} | OF_PYTHON, f
