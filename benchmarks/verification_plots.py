"""ROC and DET curves as pictures, drawn off-screen; the same curve gives the same bytes."""

from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.metrics.verification import MIN_ACCEPTED, Roc, eer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES, _DPI = (5.2, 4.4), 120
_SALT = "masquerade"  # of the names inside an SVG, which would differ from run to run


def curves(curve: Roc, title: str) -> dict[str, bytes]:
    """`roc` and `det`, each as .png and .svg: file name → content.

    The ROC has FAR on a logarithmic axis; the DET has the quantiles of the normal distribution on
    both (Martin et al., 1997). Rates of 0 lie outside both and are not drawn.

    Args:
        curve: what every threshold accepts.
        title: above the curves.
    """
    drawn = {"roc": _figure(_roc, curve, title), "det": _figure(_det, curve, title)}
    return {
        f"{name}.{kind}": _rendered(figure, kind)
        for name, figure in drawn.items()
        for kind in ("png", "svg")
    }


def _figure(draw: Callable[["Axes", Roc], None], curve: Roc, title: str) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, curve)
    axes.set_title(f"{title}\n{curve.n_genuine} genuine, {curve.n_impostor} impostor pairs",
                   fontsize=9)  # fmt: skip
    axes.grid(visible=True, which="both", linewidth=0.3)
    return figure


def _roc(axes: "Axes", curve: Roc) -> None:
    least = 1 / curve.n_impostor
    axes.step(np.maximum(curve.far, least / 2), curve.tar, where="post", linewidth=1.4)
    axes.set_xscale("log")
    axes.set(xlim=(least / 2, 1), ylim=(0, 1.005), xlabel="false accept rate (FAR)",
             ylabel="true accept rate (TAR)")  # fmt: skip
    axes.axvspan(
        least / 2, min(1.0, MIN_ACCEPTED * least), alpha=0.12, color="grey", linewidth=0,
        label=f"fewer than {MIN_ACCEPTED} impostor pairs accepted",
    )  # fmt: skip
    axes.legend(loc="lower right", fontsize=8)


def _det(axes: "Axes", curve: Roc) -> None:
    inner = (curve.far > 0) & (curve.far < 1) & (curve.frr > 0) & (curve.frr < 1)
    axes.plot(_quantile(curve.far[inner]), _quantile(curve.frr[inner]), linewidth=1.4)
    equal = eer(curve)
    if 0 < equal < 1:
        place = _quantile(np.array([equal]))
        axes.plot(place, place, "o", markersize=4, label=f"EER {equal:.2%}")
        axes.legend(loc="upper right", fontsize=8)
    ticks = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(_quantile(ticks), [f"{tick:.1%}".replace(".0%", "%") for tick in ticks])
    axes.set(xlim=_quantile(ticks[[0, -1]]), ylim=_quantile(ticks[[0, -1]]),
             xlabel="false accept rate (FAR)", ylabel="false reject rate (FRR)")  # fmt: skip


def _quantile(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import norm

    return norm.ppf(rates)


def _rendered(figure: "Figure", kind: str) -> bytes:
    from matplotlib import rc_context

    buffer = BytesIO()
    plain = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": _SALT}):
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=plain)
    return buffer.getvalue()
