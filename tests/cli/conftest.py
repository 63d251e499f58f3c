"""The command `fastconv` in this process."""

import pytest

from fastconv.cli import main


@pytest.fixture
def fastconv_(capsys):
    """Run a command and return what it printed, after checking its exit code."""

    def run(*args, code=0):
        try:
            got = main([str(a) for a in args])
        except SystemExit as e:  # argparse
            got = e.code
        out, err = capsys.readouterr()
        assert got == code, out + err
        assert "Traceback" not in err
        return err if code else out

    return run
