"""Kernels for planes on volumes N C D H W: over each plane first, then along the depth, through scratch memory."""

from __future__ import annotations

from collections.abc import Callable

from ..plan.binder import Binder, Step
from ..plan.layout import Layout, geometry
from ..plan.view import View

#: a step of a kernel for planes: (images, blocks of channels in each), source, destination
PlanesStep = Callable[[tuple[int, int], View, View], Step]


def planes_workspace(dims: tuple[int, ...], out: tuple[int, ...], layout: Layout) -> int:
    """Bytes for the planes of a volume of these sizes between the two steps; 0 for images. `out`: the result's sizes."""
    return 0 if len(out) == 2 else geometry((1, *dims[1:3], *out[1:]), layout, itemsize=4).nbytes


def plane_steps(
    binder: Binder, src: View, dst: View, out: tuple[int, ...], along_planes: PlanesStep, along_depth: PlanesStep
) -> list[Step]:
    """The steps over the planes of blocked images or volumes, with a result of the spatial sizes `out`.

    To `along_depth` each row of a volume's planes is an image, whose rows lie along the depth.
    """
    N, C = src.shape[:2]
    CB = -(-C // src.layout.block)
    if len(out) == 2:
        return [along_planes((N, CB), src, dst)]
    D, (OH, OW) = src.shape[2], out[1:]
    between = binder.workspace_view((1, C, D, OH, OW), src.layout)
    steps = []
    for n in range(N):
        steps.append(along_planes((CB, D), src.block_planes(n), between.block_planes(0)))
        steps.append(along_depth((OH, CB), between.depth_columns(0), dst.depth_columns(n)))
    return steps
