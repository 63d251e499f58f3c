"""Whether the selection takes the fastest implementation: each convolution's choice against all others that can run it, also
those that the selection estimates to be slower.

The implementations take turns, so that whatever slows the machine slows all of them. A rival counts with the lesser of two
figures, the median of the turns' ratios and the ratio of the best turns, and must be faster in several attempts.

As in a network, weights come from memory, and activations from a cache where they fit. The copy of the image to the layout an
implementation reads is a part of its time; other layers find their input in blocks.
"""

import math
import statistics

from fastconv.bench.layers import Conv
from fastconv.bench.suite import of_kinds
from fastconv.bench.timing import IMAGE_CHANNELS, Case, Cool, Kernel, algorithms, seconds

ALGORITHMS = ["auto"]
BATCHES = [1, 8]

TURNS, ATTEMPTS = 11, 3
SLACK = 1.05  # less than that is the machine's noise, and no reason to change a rule
HEADING = "layer | choice | >ms | fastest other | >ms | >choice / other | "


def take_turns(runs, cool):
    """Seconds of each run in each turn: {name: [seconds, …]}."""
    times = {name: [] for name in runs}
    for _ in range(TURNS):
        for name, run in runs.items():
            cool()
            run.arrays[1].sum()  # the arena, with the input in it
            times[name].append(seconds(run))
    return times


def ratio(ours, others):
    """The choice's time relative to another implementation's."""
    return min(statistics.median(a / b for a, b in zip(ours, others, strict=True)), min(ours) / min(others))


@of_kinds(Conv)
def bench_selection(case, row):
    def kernel(algorithm):
        return Kernel(Case(case.layer, algorithm, case.isa, case.threads), case.layer.IC <= IMAGE_CHANNELS)

    auto, cool = kernel("auto"), Cool(case.threads)
    choice = auto.algorithm
    rivals = [name for name in algorithms(case.layer, case.isa, case.threads) if name != choice]
    runs = {choice: auto} | {name: kernel(name) for name in rivals}
    best, ratios = dict.fromkeys(runs, math.inf), dict.fromkeys(rivals, math.inf)
    for _ in range(ATTEMPTS):
        times = take_turns({name: runs[name] for name in (choice, *rivals)}, cool)
        best |= {name: min(best[name], *times[name]) for name in times}
        ratios |= {name: min(ratios[name], ratio(times[choice], times[name])) for name in rivals}
        rivals = [name for name in rivals if ratios[name] > SLACK]
        if not rivals:
            break
    rival = max(ratios, key=ratios.__getitem__)
    slow = ratios[rival] > SLACK
    title = f"selection, {case.isa}, {case.threads} thread{'s' if case.threads > 1 else ''}"
    figures = f"{1e3 * best[choice]:.3f}", rival, f"{1e3 * best[rival]:.3f}", f"{ratios[rival]:.2f}", "**slow**" if slow else ""
    row(title, HEADING, (case.layer.label, choice, *figures))
    assert not slow, f"{case.layer.label}: {choice} takes {ratios[rival]:.2f} times as long as {rival}"
