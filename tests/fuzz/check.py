"""What holds for every file, and findings: what does not."""

import contextlib
import traceback
from pathlib import Path

from fastconv.errors import InputError, ModelError


class Finding(AssertionError):
    """A promise that does not hold for a file: its bytes and the suffix of its name. One finding is kept of each `kind`."""

    def __init__(self, problem, data, suffix, kind="wrong"):
        super().__init__(problem)
        self.data, self.suffix, self.kind = data, suffix, kind


@contextlib.contextmanager
def only_errors_of_models(data, suffix):
    """A block that works on a file and may raise ModelError or InputError, with a message to print; Finding for all else."""
    try:
        yield
    except (ModelError, InputError) as e:
        if not all(c.isprintable() or c == "\n" for c in str(e)):
            raise Finding(f"control characters in the message {str(e)[:300]!r}", data, suffix, "message") from e
    except Finding:
        raise
    except Exception as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if "fastconv" in Path(f.filename).parts]
        place = f"{Path(frames[-1].filename).stem}-{frames[-1].name.strip('<>')}" if frames else "outside"
        raise Finding(f"{type(e).__name__}: {e!s:.300}", data, suffix, f"{type(e).__name__}-{place}") from e


def write_finding(folder, target, error):
    """Write a file that can be added as a case, beside a `.txt` with the traceback; the first of each kind only."""
    path = folder / f"{target}-{error.kind}{error.suffix}"
    if not path.exists():
        path.write_bytes(error.data)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))
