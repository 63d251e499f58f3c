"""The pipeline of `fastconv predict` on many cores, simulated: a driver, a storage, and cores that read, decode and run.

    pip install simpy
    python bench/scale.py [--rate 150] [--parts 20]

The arguments are what was measured on one or two cores (bench/predict.py; docs/scale.md says where each comes from); the rest
is assumed, in `Assumed`. Each row of the table is a job in which every core has some parts on average. `of ideal` is the time
that the job would take if all cores did nothing but pictures, over the simulated time; the columns after it are the same if one
cause is taken away.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
import simpy


class Assumed(NamedTuple):
    """What no measurement here can give. Times in seconds, sizes in bytes."""

    #: of a core's rate: most differ a little, some much
    spread: float = 0.1
    slow_share: float = 0.01
    slow_factor: float = 3.0
    #: a machine of so many cores fails once in so many hours, and another is there after so long
    cores: int = 32
    hours: float = 20.0
    restart: float = 60.0
    #: of the storage for all, and of one machine's network
    storage: float = 100e9
    network: float = 1.5e9


class Job(NamedTuple):
    """A job: cores, pictures of a part, parts of a core, and what was measured."""

    cores: int
    part: int
    parts: int
    rate: float
    bytes: float
    driver: float


def simulate(job: Job, assumed: Assumed, seed: int = 0) -> float:
    """The seconds that the job takes."""
    rng = np.random.default_rng(seed)
    env = simpy.Environment()
    driver = simpy.Resource(env)
    waiting = job.cores * job.parts
    share = min(assumed.storage / job.cores, assumed.network / min(job.cores, assumed.cores))
    reading = job.part * job.bytes / share
    speeds = rng.lognormal(0, assumed.spread, job.cores) / np.where(
        rng.random(job.cores) < assumed.slow_share, assumed.slow_factor, 1
    )
    lives = rng.exponential(assumed.hours * 3600, -(-job.cores // assumed.cores)) if assumed.hours else None

    def core(i: int) -> Generator[simpy.Event, None, None]:
        nonlocal waiting
        dies = lives[i // assumed.cores] if lives is not None else float("inf")
        while waiting:
            waiting -= 1
            # reading the next part and working on this one go on at the same time
            seconds = max(job.part / (job.rate * speeds[i]), reading)
            if env.now + seconds > dies:  # what it has begun is done again, by whoever is free
                yield env.timeout(max(dies - env.now, 0))
                waiting += 1
                yield env.timeout(assumed.restart)
                dies = float("inf")
                continue
            yield env.timeout(seconds)
            with driver.request() as turn:
                yield turn
                yield env.timeout(job.driver)

    for i in range(job.cores):
        env.process(core(i))
    env.run()
    return float(env.now)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100, help="pictures a second of a core")
    parser.add_argument("--bytes", type=float, default=60e3, help="of a picture")
    parser.add_argument("--driver", type=float, default=0.005, help="the driver's seconds for a part")
    parser.add_argument("--parts", type=int, default=20, help="of a core")
    args = parser.parse_args()
    without = {
        "no slow cores": {"spread": 0.0, "slow_share": 0.0},
        "no failures": {"hours": 0.0},
        "endless storage": {"storage": 1e15},
    }
    heads = ["cores", "part", "pictures/s", "of ideal", *without, "no driver"]
    print("| " + " | ".join(heads) + " |\n|" + " ---: |" * len(heads))
    for cores in (10, 1_000, 100_000):
        for part in (32, 256, 2048):
            job = Job(cores, part, args.parts if cores < 100_000 else min(args.parts, 2), args.rate, args.bytes, args.driver)
            pictures = job.cores * job.part * job.parts
            ideal = pictures / (job.rate * job.cores)
            times = [simulate(job, Assumed())]
            times += [simulate(job, Assumed(**change)) for change in without.values()]
            times.append(simulate(job._replace(driver=0.0), Assumed()))
            shares = " | ".join(f"{ideal / t:.0%}" for t in times)
            print(f"| {cores:,} | {part} | {pictures / times[0]:,.0f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
