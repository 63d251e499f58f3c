"""Whether the selection takes the fastest implementation: each convolution's choice against all others that do not refuse.

The implementations take turns, so that whatever slows the machine slows all of them; the median of the turns' ratios counts.
The copy of the image to the layout an implementation reads is a part of its time; other layers find their input in blocks.
"""

import statistics

from layers import Conv
from timing import IMAGE_CHANNELS, Case, Kernel, algorithms, seconds

KINDS = (Conv,)
ALGORITHMS = ["auto"]

TURNS = 11
TURN_SECONDS = 0.004
SLACK = 1.05  # less than that is the machine's noise, and no reason to change a rule
HEADING = "layer | choice | >ms | fastest other | >ms | >choice / other | "


def turn(run):
    """Seconds of a call, the mean of as many as fill a turn."""
    total, calls = 0.0, 0
    while total < TURN_SECONDS:
        total += seconds(run)
        calls += 1
    return total / calls


def bench_selection(case, row):
    choice, *others = algorithms(case.layer, case.isa)
    with_copy = case.layer.IC <= IMAGE_CHANNELS
    runs = {name: Kernel(Case(case.layer, name, case.isa, case.threads), with_copy) for name in (choice, *others)}
    turns = [{name: turn(run) for name, run in runs.items()} for _ in range(TURNS)]
    ratios = {name: statistics.median(t[choice] / t[name] for t in turns) for name in others}
    rival = max(ratios, key=ratios.__getitem__)
    ms = {name: 1e3 * statistics.median(t[name] for t in turns) for name in runs}
    slow = ratios[rival] > SLACK
    title = f"selection, {case.isa}, {case.threads} thread{'s' if case.threads > 1 else ''}"
    figures = f"{ms[choice]:.3f}", rival, f"{ms[rival]:.3f}", f"{ratios[rival]:.2f}", "**slow**" if slow else ""
    row(title, HEADING, (case.layer.label, choice, *figures))
    assert not slow, f"{case.layer.label}: {choice} takes {ratios[rival]:.2f} times as long as {rival}"
