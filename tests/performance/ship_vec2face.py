"""Make the shipped demo weights of a run: half precision, the embedding frame as it is.

    masquerade pretrain vec2face --recipe vec2face-small --data FACES#fit --out RUN
    python tests/performance/ship_vec2face.py RUN/checkpoints/step-N [--out FILE.safetensors]

The frame stays float32 and float64: leakage is measured against its centres, and all cosines use
its mean and scale.
"""

import argparse
from pathlib import Path

import torch

from masquerade.core.weights import find_weights, save_method, weights_hash
from masquerade.generators.vec2face.synthesizer import SHIPPED
from masquerade.methods.weights import load_method


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, help="a checkpoint, run folder or weights file")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    asked = parser.parse_args()
    method = load_method(asked.weights, expect="vec2face")
    state = {
        name: value if name.startswith("frame.") else value.to(torch.float16)
        for name, value in method.state_dict().items()
    }
    lost = max(
        float((value.float() - method.state_dict()[name]).abs().max())
        for name, value in state.items()
        if value.dtype == torch.float16
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    save_method(
        method, asked.out, state=state,
        training_data="faces-split:fit", source=weights_hash(find_weights(asked.weights)),
    )  # fmt: skip
    count = sum(value.numel() for value in state.values())
    size = asked.out.stat().st_size / 1e6
    print(f"{asked.out}: {count / 1e6:.2f} M values, {size:.1f} MB, rounding at most {lost:.1g}")
    print(f"sha256 {weights_hash(asked.out)}")


if __name__ == "__main__":
    main()
