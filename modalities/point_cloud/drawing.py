"""Clouds as pictures: points coloured by what the model saw and made, from one fixed side."""

# B clouds, N points, G groups, K points of a group.

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.atomic_io import write_bytes, write_file
from ...core.geometry import nearest_neighbours
from ...core.tokens import Tokens

_ELEVATION, _AZIMUTH = 20, -60  # degrees
_INCH, _DPI, _HEADER_INCH, _ZOOM = 3, 110, 0.3, 1.4
VISIBLE, HIDDEN, PREDICTED = (31, 119, 180), (255, 176, 59), (214, 39, 40)  # blue, orange, red


def _parts(
    points: Tensor, tokens: Tokens, hidden: Tensor
) -> tuple[NDArray[np.bool_], list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Which points belong to a hidden group, and the visible and predicted points of each cloud.

    A point belongs to the group whose centre is nearest.
    """
    assert tokens.positions is not None  # noqa: S101 - point methods give them
    _, group = nearest_neighbours(points, tokens.positions, 1)
    of_hidden = hidden.to(group.device).gather(1, group[..., 0]).cpu().numpy()
    groups = tokens.values.detach().float().unflatten(-1, (-1, 3)).cpu()
    chosen = hidden.cpu()
    predicted = [g[h].reshape(-1, 3).numpy() for g, h in zip(groups, chosen, strict=True)]
    seen = [g[~h].reshape(-1, 3).numpy() for g, h in zip(groups, chosen, strict=True)]
    return of_hidden, seen, predicted


def write_clouds(points: Tensor, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
    """Write a PNG, a row per cloud: input | visible | reconstruction.

    Points of visible groups are blue, of hidden ones orange, predicted ones red.

    Args:
        points: (B, N, 3).
        tokens: (B, G, K 3) points of each group, with centres as positions.
        hidden: (B, G) bool.
        path: where to; the suffix .png is added where missing.

    Returns:
        The path written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of_hidden, seen, predicted = _parts(points, tokens, hidden)
    figure = Figure(figsize=(3 * _INCH, len(points) * _INCH), dpi=_DPI)
    FigureCanvasAgg(figure)
    for row, cloud in enumerate(points.detach().float().cpu().numpy()):
        far = of_hidden[row]
        columns = {
            "input": ((cloud[~far], VISIBLE), (cloud[far], HIDDEN)),
            "visible": ((cloud[~far], VISIBLE),),
            "reconstruction": ((seen[row], VISIBLE), (predicted[row], PREDICTED)),
        }
        radius = float(np.abs(cloud).max()) or 1.0
        for column, (title, parts) in enumerate(columns.items(), start=1):
            axes = figure.add_subplot(len(points), 3, 3 * row + column, projection="3d")
            if row == 0:
                axes.set_title(title)
            axes.set_axis_off()
            axes.view_init(_ELEVATION, _AZIMUTH)
            axes.set_box_aspect((1, 1, 1), zoom=_ZOOM)
            axes.set(xlim=(-radius, radius), ylim=(-radius, radius), zlim=(-radius, radius))
            for shown, colour in parts:
                # y is up in the data sets of shapes, z is up in the picture
                x, y, z = shown.T
                axes.scatter(
                    x,
                    -z,
                    y,
                    s=4,
                    linewidths=0,
                    antialiased=False,
                    depthshade=False,
                    color=np.array(colour) / 255,
                )
    figure.subplots_adjust(0, 0, 1, 1 - _HEADER_INCH / (len(points) * _INCH), 0, 0)
    path = Path(path)
    target = path if path.suffix.lower() == ".png" else path.with_name(path.name + ".png")
    write_file(target, lambda temporary: figure.savefig(temporary, format="png"))
    return target


def write_ply(points: Tensor, tokens: Tokens, hidden: Tensor, path: Path) -> Path:
    """Write the first cloud's reconstruction as an ASCII PLY with colours.

    Arguments as of `write_clouds`; visible points are blue, predicted ones red.

    Returns:
        The path written.
    """
    _, seen, predicted = _parts(points[:1], _first(tokens), hidden[:1])
    lines = [
        f"{x:.6f} {y:.6f} {z:.6f} {r} {g} {b}"
        for cloud, (r, g, b) in ((seen[0], VISIBLE), (predicted[0], PREDICTED))
        for x, y, z in cloud.tolist()
    ]
    header = ["ply", "format ascii 1.0", f"element vertex {len(lines)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"property uchar {name}" for name in ("red", "green", "blue")]
    write_bytes(path, "\n".join([*header, "end_header", *lines, ""]).encode())
    return path


def _first(tokens: Tokens) -> Tokens:
    assert tokens.positions is not None  # noqa: S101 - point methods give them
    return Tokens(tokens.values[:1], positions=tokens.positions[:1])
