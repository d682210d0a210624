"""A closed-form teacher of the network's first steps (ours, for few faces).

A kernel ridge regression from vectors to small pictures. With some hundred people a picture's own
pixels are a noisy target: most of their error cannot be explained by any vector, and a transformer
that starts from nothing follows the noise. What the regression draws of a vector is a target
without noise, for any vector; nothing of it stays in the weights.
"""

# n training pictures, B vectors, d their width, S side of the pictures taught, P = 3 x S x S.

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ...core.config import Config
from ...core.draws import Draws
from ...core.errors import UsageError
from ...core.perceptual import ssim
from .config import N_ROWS

_JITTER = 1e-6  # keeps the second moments positive definite where there are few vectors
_MOST = 20_000  # pictures: the kernel matrix is solved in memory


class TeacherSettings(Config):
    """How the teacher is fitted, and how long it teaches.

    Attributes:
        share: of the run, at its beginning, that learns from the teacher alone; 0 = no teacher,
            unless `weights.teacher` asks for it.
        width: squared width of the Gaussian kernel, in units of the vectors' mean squared norm.
        ridge: added to the diagonal of the kernel matrix.
        variation: how far the mask draw moves the picture that is taught, 1 = as far as pictures of
            one real person differ from their mean, in light, colour and pose. Without it nothing
            asks for any difference between two mask draws, and in few steps there is none.
        contrast: of what is taught around the mean picture. A regression shrinks people towards
            that mean; a little more than 1 costs no squared error and leaves them further apart.
        ssim: weight of 1 − SSIM beside the squared error, which sees little of what tells people
            apart: most of it is brightness and background.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    width: float = Field(default=1.0, gt=0)
    ridge: float = Field(default=3.0, gt=0)
    variation: float = Field(default=0.15, ge=0)
    contrast: float = Field(default=1.0, gt=0)
    ssim: float = Field(default=0.2, ge=0)


class Teacher:
    """The fitted regression.

    Args:
        vectors: (n, d) of the training pictures, in the units of the embedding frame.
        pictures: (n, 3, S, S) training pictures.
        settings: of the fit.
        identities: (n,) who is on them; None = unknown.

    Raises:
        UsageError: there are too many pictures for a matrix of n × n, or a variation is asked for
            and nobody has two pictures.

    Example:
        >>> pictures = torch.arange(3.0)[:, None, None, None].expand(3, 3, 2, 2)
        >>> teacher = Teacher(torch.eye(3), pictures, TeacherSettings(ridge=1e-6, variation=0))
        >>> teacher(torch.eye(3))[:, 0, 0, 0].round().tolist()
        [0.0, 1.0, 2.0]
    """

    def __init__(
        self,
        vectors: Tensor,
        pictures: Tensor,
        settings: TeacherSettings,
        identities: Tensor | None = None,
    ) -> None:
        if len(vectors) > _MOST:
            raise UsageError(
                f"the teacher of {len(vectors)} pictures needs a matrix of their number squared, "
                f"at most {_MOST} are supported",
                "add --set teacher.share=0 --set weights.teacher=0: so many need no teacher",
            )
        self.vectors = vectors.float()
        self._norms = self.vectors.norm(dim=1)
        self._spread = _root(vectors)
        self._width = 2 * settings.width * float(vectors.double().square().sum(1).mean())
        self._shape = pictures.shape[1:]
        flat = pictures.flatten(1)
        self._mean = flat.mean(0)
        matrix = self._kernel(vectors.double(), vectors.double())
        matrix.diagonal().add_(settings.ridge)
        explained = settings.contrast * torch.linalg.solve(matrix, (flat - self._mean).double())
        self._dual = explained.float()
        self._of_rows = self._moves(flat, settings.variation, identities)

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-(torch.cdist(a, b) ** 2) / self._width)

    def _moves(self, flat: Tensor, variation: float, identities: Tensor | None) -> Tensor | None:
        """(49, P): how each hidden row moves the picture. Gaussian mixtures of how real pictures
        of a person differ from their mean, so light and pose move as they do there.
        """  # noqa: D205
        if not variation:
            return None
        apart = _from_own_mean(flat, identities)
        if apart is None:
            raise UsageError(
                f"teacher.variation {variation:g} needs two pictures of some person, and there are "
                "none",
                "add --set teacher.variation=0, or data with several pictures a person",
            )
        rows = Draws(0, torch.arange(N_ROWS), stream="teacher").normal(len(apart))
        return variation / len(apart) ** 0.5 * rows.to(flat.device) @ apart

    def __call__(self, vectors: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The pictures (B, 3, S, S) of vectors (B, d), moved as the hidden rows (B, 49) say."""
        with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
            flat = self._kernel(vectors.float(), self.vectors) @ self._dual + self._mean
            if hidden is not None and self._of_rows is not None:
                flat = flat + _pattern(hidden) @ self._of_rows
        return flat.unflatten(1, self._shape)

    def some(self, draws: Draws) -> Tensor:
        """(B, d) vectors that nobody has: a Gaussian with the training vectors' second moments,
        brought to the norm of one of them. Near the training vectors alone, a network learns those.
        """  # noqa: D205
        device = self.vectors.device
        fresh = draws.fork("direction").normal(self.vectors.shape[1]).to(device) @ self._spread.T
        norms = self._norms[draws.fork("norm").integers(len(self._norms)).to(device)]
        return fresh * (norms / fresh.norm(dim=1))[:, None]


def _root(vectors: Tensor) -> Tensor:
    """(d, d) the lower Cholesky factor of the second moments of vectors (n, d)."""
    moments = vectors.double().T @ vectors.double() / len(vectors)
    moments.diagonal().add_(_JITTER * moments.diagonal().mean())
    return torch.linalg.cholesky(moments).float()


def _from_own_mean(flat: Tensor, identities: Tensor | None) -> Tensor | None:
    """(m, P) pictures minus their person's mean, of people with several; None if nobody has."""
    if identities is None:
        return None
    _, person, count = identities.unique(return_inverse=True, return_counts=True)
    sums = flat.new_zeros(len(count), flat.shape[1]).index_add_(0, person, flat)
    several = count[person] > 1
    own = (sums / count[:, None])[person]
    return (flat - own)[several] if bool(several.any()) else None


def _pattern(hidden: Tensor) -> Tensor:
    """(B, 49) of unit norm and mean 0: which rows are hidden, whatever their number; 0 if all or
    none are."""  # noqa: D205, D209
    rate = hidden.float().mean(1, keepdim=True)
    size = (hidden.shape[1] * rate * (1 - rate)).sqrt()
    return (hidden.float() - rate) / size.clamp(min=_JITTER)


def teaching_loss(images: Tensor, taught: Tensor, ssim_weight: float = 0.0) -> Tensor:
    """Mean squared error, and 1 − SSIM at its weight, of pictures (B, 3, S, S) in [-1, 1] against
    taught ones, at the taught ones' side.
    """  # noqa: D205
    seen = F.interpolate(images.float(), taught.shape[-2:], mode="area")
    error = F.mse_loss(seen, taught)
    if not ssim_weight:
        return error
    return error + ssim_weight * (1 - ssim((seen + 1) / 2, (taught + 1) / 2))
