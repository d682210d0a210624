"""Where the numbers of a right demo lie, by its length and by whose faces they depend on.

Measured: `python tests/performance/demo_ranges.py --faces FACES` runs the demo with several seeds,
and prints what it saw and these lines. At the end of each: what seeds 0, 1, … gave.
"""

RANGES: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("normal", "any"): {
        "likeness": (0.569, 0.722),  # 0.6345 0.6561
        "recogniser loss": (1.57, 2.01),  # 1.7510 1.8303
        "reconstruction loss": (0.394, 0.496),  # 0.4390 0.4512
        "knn accuracy": (0.751, 0.957),  # 0.8383 0.8700
        "probe accuracy": (0.765, 0.959),  # 0.8517 0.8717
    },
    ("normal", "real"): {
        "auc of the set": (0.9, 1),  # 0.9997 0.9997
        "unique identities": (0.04, 0.1),  # 0.0800 0.0600
        "recall": (0, 0.0241),  # 0.0053 0.0147
        "verification accuracy": (0.652, 0.799),  # 0.7249 0.7261
        "retrieval mAP": (0.275, 0.357),  # 0.3242 0.3072
    },
    ("normal", "made"): {
        "auc of the set": (0.9, 1),  # 0.9997 0.9995
        "unique identities": (0.14, 0.23),  # 0.2000 0.1700
        "verification accuracy": (0.879, 1),  # 0.9861 0.9778
        "retrieval mAP": (0.877, 1),  # 0.9926 0.9758
    },
    ("quick", "any"): {
        "reconstruction loss": (0.457, 0.559),  # 0.5080 0.5076
        "probe accuracy": (0.744, 0.911),  # 0.8267 0.8283
    },
}
