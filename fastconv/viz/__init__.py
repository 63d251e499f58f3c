"""Figures of what a network computes: its activations, its filters, where its time goes.

For example::

    from fastconv import viz

    viz.activation_maps(model, x, ["conv1", "conv3"]).savefig("maps.png")
    viz.hierarchy(model, x).savefig("hierarchy.png")                      # what fires the units of each depth
    viz.filters(model).savefig("filters.png")                             # the first convolution's
    viz.receptive_field(model, "conv3")                                   # which pixels a unit sees
    vision.write("conv1.png", viz.maps.grid(model.run(x, outputs="conv1")[0][0]))

Figures need Matplotlib: `pip install 'fastconv[viz]'`; the other functions need NumPy alone. Wrong arguments raise InputError.
"""

from . import maps
from .activations import activation_maps, filters, hierarchy
from .profile_figures import profile_figure
from .receptive_field import ReceptiveField, receptive_field

__all__ = ["ReceptiveField", "activation_maps", "filters", "hierarchy", "maps", "profile_figure", "receptive_field"]
