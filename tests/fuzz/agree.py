"""Results against the references: right where the references in float32 and in float64 are the same but for rounding."""

import numpy as np

#: the rounding of the narrowest floats of a model; those of a byte or of ml_dtypes are not compared
EPS = {name: float(np.finfo(name).eps) for name in ("float16", "float32", "float64")}
#: times the rounding of the references: Winograd rounds up to 20 times as much, and a maximum is one sample of the rounding
FACTOR = 64


def disagreement(model, inputs, results):
    """Where results differ from the references by more than rounding, in words; None if they do not."""
    floats = {
        v.dtype.name for v in model._stage_graph(()).graph.values() if v.dtype is not None and v.dtype.kind not in "iubSUO"
    }
    if not floats <= set(EPS):
        return None
    eps = max([EPS["float32"], *(EPS[name] for name in floats)])
    wide, narrow = (model.reference(inputs, dtype, outputs=list(results.keys())) for dtype in (np.float64, np.float32))
    for name, y in results.items():
        if isinstance(y, np.ndarray) and (problem := _differ(y, wide[name], narrow[name], _peak(inputs, model), eps)):
            return f"{name!r}: {problem}"
    return None


def _differ(y, wide, narrow, peak, eps):
    if y.shape != wide.shape:
        return f"shape {y.shape}, expected {wide.shape}"
    if wide.dtype.kind not in "fiub":
        return None if (y == wide).all() else "other elements"
    with np.errstate(all="ignore"):
        y, wide, narrow = (a.astype(np.float64) for a in (y, wide, narrow))
        rounding = np.abs(wide - narrow)
        peak = max(peak, np.abs(wide[np.isfinite(wide)]).max(initial=0))
        settled = (rounding <= 1e-3 * peak) | (wide == narrow) | (np.isnan(wide) & np.isnan(narrow))
        bound = FACTOR * (rounding[np.isfinite(rounding)].max(initial=0) + eps * peak)
        right = (np.abs(y - wide) <= bound) | (y == wide) | (np.isnan(y) & np.isnan(wide))
    if (right | ~settled).all():
        return None
    at = tuple(map(int, np.argwhere(~right & settled)[0]))
    return f"{y[at]} at {at}, expected {wide[at]}, within {bound:.3g}"


def _peak(inputs, model):
    """The largest magnitude of what goes in: rounding of sums that cancel does not show in the results."""
    constants = [np.asarray(v.constant) for v in model._original.values() if v.constant is not None]
    arrays = [a for a in (*inputs.values(), *constants) if a.dtype.kind in "fiu"]
    return max((float(np.abs(a[np.isfinite(a)].astype(np.float64)).max(initial=0)) for a in arrays), default=0.0)
