"""The public face: its names, which come with their modules when they are first asked for."""

import pytest

import fastconv

from .test_kernels import python


def test_every_public_name_is_there_and_listed():
    names = {*fastconv.__all__, "__version__"}
    assert set(fastconv._MODULES) == names
    assert names <= set(dir(fastconv))
    out, err, code = python(f"import fastconv\nfor name in {sorted(names)}: print(getattr(fastconv, name).__class__.__name__)")
    assert (len(out.split()), err, code) == (len(names), "", 0)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'fastconv' has no attribute 'laod'$"):
        fastconv.laod  # noqa: B018


def test_asking_for_one_name_imports_what_has_it():
    out, _, _ = python("import fastconv, sys; fastconv.InputError; print(*sys.modules)")
    assert [m for m in out.split() if m.startswith("fastconv")] == ["fastconv", "fastconv.errors"]
