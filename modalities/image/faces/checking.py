"""Whether a source of pictures holds aligned faces of one template, before work begins on it."""

import numpy as np

from ....core.errors import DataError, UsageError
from ....core.modality import Source
from ..decoding import Picture
from .aligned import declared_template
from .templates import template as named

_LOOKED_AT = 32  # pictures, evenly spread: a header each


def check_template(source: Source, template: str) -> None:
    """Refuse what is no source of faces of a template.

    A folder of `masquerade data prepare faces` says its template; of other sources only the sides
    of some pictures can tell. Damaged pictures are left to whoever reads them all.

    Args:
        source: of pictures.
        template: that the pictures must be of.

    Raises:
        UsageError: the folder declares another template.
        DataError: a picture has other sides; names it. Or the folder's preparation was broken off.
    """
    mend = f"prepare the pictures with `masquerade data prepare faces --template {template}`"
    declared = declared_template(source)
    if declared is not None:
        if declared != template:
            raise UsageError(
                f"{source.name} holds faces of the template '{declared}', expected '{template}'",
                mend,
            )
        return
    side = named(template).size
    for index in np.unique(np.linspace(0, len(source) - 1, _LOOKED_AT, dtype=int)).tolist():
        try:
            sample = source.read(index)
            picture = Picture(sample.content, sample.key)
        except DataError:
            continue
        if picture.size != (side, side):
            raise DataError(
                f"{picture.name} has {picture.size[0]}×{picture.size[1]} pixels, expected an "
                f"aligned face of the template '{template}', {side}×{side}",
                mend,
            )
