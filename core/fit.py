"""How well a state fits a module: missing, unexpected and misshapen keys, said once and fully."""

import difflib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

_SHOWN = 6  # names shown of each group


@dataclass(frozen=True)
class FitReport:
    """The keys that do not fit.

    Attributes:
        missing: keys of the module that the state lacks.
        unexpected: keys of the state that the module lacks.
        misshapen: key → (shape in the module, shape in the state).
        notes: what else a user should know (a part that is absent by design).
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether every key fits."""
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        lines = [*self.notes]
        for title, names in (("missing", self.missing), ("unexpected", self.unexpected)):
            others = self.unexpected if title == "missing" else self.missing
            for group, members in _by_module(names).items():
                shown = ", ".join(_with_nearest(name, others) for name in members[:_SHOWN])
                more = f" and {len(members) - _SHOWN} more" if len(members) > _SHOWN else ""
                lines.append(f"{title} in {group}: {shown}{more}")
        for name, (wanted, got) in self.misshapen.items():
            lines.append(f"wrong shape: {name} expected {wanted}, got {got}")
        return "\n".join(lines)


def _by_module(names: tuple[str, ...]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[name.split(".")[0]].append(name)
    return groups


def _with_nearest(name: str, others: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, others, n=1, cutoff=0.8)
    return f"{name} (nearest: {close[0]})" if close else name


def compare(module: nn.Module, state: Mapping[str, Tensor]) -> FitReport:
    """How `state` (under our names) fits `module`."""
    wanted = module.state_dict()
    both = wanted.keys() & state.keys()
    return FitReport(
        missing=tuple(sorted(wanted.keys() - state.keys())),
        unexpected=tuple(sorted(state.keys() - wanted.keys())),
        misshapen={
            name: (tuple(wanted[name].shape), tuple(state[name].shape))
            for name in sorted(both)
            if wanted[name].shape != state[name].shape
        },
    )
