"""Masquerade: masked modelling over six modalities, synthetic data sets, exact scores, boards.

Public names load on first use, so that `import masquerade` stays light.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Draws": "core.draws",
    "Mask": "core.masking",
    "Tokens": "core.tokens",
    "Batch": "core.tokens",
    "StepContext": "core.step",
    "StepOutput": "core.method",
    "Method": "core.method",
    "Record": "core.records",
    "MasqueradeError": "core.errors",
    "method": "methods.registry",
    "modality": "modalities.registry",
    # what the command line does, under the same names
    "pretrain": "methods.call",
    "load": "methods.call",
    "embed": "benchmarks.call",
    "evaluate": "benchmarks.call",
    "synthesize": "generators.call",
    "board": "leaderboards.call",
}

__all__ = [
    "Batch",
    "Draws",
    "Mask",
    "MasqueradeError",
    "Method",
    "Record",
    "StepContext",
    "StepOutput",
    "Tokens",
    "__version__",
    "board",
    "embed",
    "evaluate",
    "load",
    "method",
    "modality",
    "pretrain",
    "synthesize",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import a public name when it is first asked for."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'masquerade' has no attribute '{name}'")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
