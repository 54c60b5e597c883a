"""How long chips wait for each other in a step: a model over a compiler's order of operations.

What the compiler says: which operations and collectives there are, their bytes and order, and for
TPUs the cycles of an operation. Of data sheets: bandwidths. Assumed: latencies. Nothing ran.
"""

import dataclasses
import math
from collections.abc import Iterable

from benchmarks.aot.costs import Event
from benchmarks.aot.targets import Target


@dataclasses.dataclass(frozen=True)
class Network:
    """What connects chips.

    Attributes:
      bandwidth: Bytes a second that a chip sends while it receives as many; a TPU over one link.
      latency: Seconds of one message, of a TPU to a neighbour; assumed.
    """

    bandwidth: float
    latency: float


# A TPU's four links: data sheets name 400 GB/s for a v5e and 800 for a v6e, both ways together.
LINKS = {"v5e": Network(50e9, 1e-6), "v6e": Network(100e9, 1e-6)}
RING = 16  # chips: a shorter side of such a grid has ends
# NVLink in a host (900 GB/s both ways together), 400 Gb/s InfiniBand for each GPU between hosts.
HOST, CLUSTER = Network(450e9, 3e-6), Network(50e9, 15e-6)
# Of an all-reduce, which scatters sums and gathers them.
_SHARE = {"all-reduce": 1.0, "all-gather": 0.5, "reduce-scatter": 0.5}


def has_model(target: Target) -> bool:
    return target.count > 1 and (target.chip.platform == "cuda" or target.kind in LINKS)


def seconds_of_all_reduce(size: float, target: Target) -> float:
    """Of so many bytes on each chip.

    TPUs: half of the bytes along rows first, half along columns first, so that all links are busy:
    in all `size (1 - 1/n)` over a link and, on a grid of rings, half of it. GPUs halve and double
    (Thakur, Rabenseifner and Gropp, 2005) inside each host, then over the hosts with what is one
    GPU's part: `2 (n - 1) / n` of the bytes in `2 log2(n)` messages each.
    """
    if target.chip.platform == "tpu":
        link, sides = LINKS[target.kind], [n for n in target.sides if n > 1]
        is_torus = all(n == RING for n in sides)
        hops = sum(n // 2 if n == RING else n - 1 for n in sides)
        links = len(sides) * (2 if is_torus else 1)
        sent = 2 * (1 - 1 / target.count) * size
        return sent / (links * link.bandwidth) + 2 * hops * link.latency
    inside = target.sides[-1]
    levels = ((HOST, inside, size), (CLUSTER, target.count // inside, size / inside))
    return sum(
        2 * (count - 1) / count * share / network.bandwidth + 2 * math.log2(count) * network.latency
        for network, count, share in levels
        if count > 1
    )


def seconds_of_step(timeline: Iterable[Event], target: Target) -> tuple[float, float]:
    """Of a step, and of it the part in which a chip computes.

    Operations follow one another in the compiler's order. A collective runs beside what stands
    between its start and its end, and after the collectives that started before it.
    """
    clock = computing = network_is_free = 0.0
    ends: dict[str, float] = {}
    for event in timeline:
        if event.kind == "compute":
            computing += event.seconds
            clock += event.seconds
        elif event.kind == "done":
            clock = max(clock, ends.get(event.name, clock))
        else:
            spent = _SHARE.get(event.collective, 1.0) * seconds_of_all_reduce(event.size, target)
            network_is_free = ends[event.name] = max(clock, network_is_free) + spent
            if event.kind == "both":
                clock = network_is_free
    return clock, computing
