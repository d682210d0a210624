"""The benchmarks: slug → import string. A new protocol is one line here."""

from ..core.registry import known, lookup
from .protocol import Benchmark

BENCHMARKS = {
    "probe": "masquerade.benchmarks.probe",
    "knn": "masquerade.benchmarks.knn",
    "few-shot": "masquerade.benchmarks.few_shot",
    "svm": "masquerade.benchmarks.svm",
    "n-way": "masquerade.benchmarks.n_way",
    "finetune": "masquerade.benchmarks.finetune",
    "classification": "masquerade.benchmarks.own_head",
    "node-classification": "masquerade.benchmarks.node_classification",
    "graph-classification": "masquerade.benchmarks.graph_classification",
    "molecule-finetune": "masquerade.benchmarks.molecule_finetune",
    "verification": "masquerade.benchmarks.verification",
    "template-verification": "masquerade.benchmarks.template_verification",
    "identification": "masquerade.benchmarks.identification",
    "retrieval": "masquerade.benchmarks.retrieval",
    "cross-modal-retrieval": "masquerade.benchmarks.cross_modal_retrieval",
    "reconstruction": "masquerade.benchmarks.reconstruction_psnr",
    "face-dataset": "masquerade.benchmarks.face_dataset",
    "face-utility": "masquerade.benchmarks.face_utility",
    "contamination": "masquerade.benchmarks.contamination",
}


def benchmark(slug: str) -> Benchmark:
    """The protocol's module.

    Raises:
        UsageError: the slug is unknown.
    """
    module: Benchmark = lookup("benchmarks", slug, BENCHMARKS)
    return module


def facts() -> list[dict[str, str]]:
    """Slug, version, main metric and one line of each protocol; imports no torch."""
    modules = [benchmark(slug) for slug in known("benchmarks", BENCHMARKS)]
    return [
        {
            "slug": module.SLUG,
            "version": module.VERSION,
            "metric": module.MAIN_METRIC,
            "summary": module.SUMMARY,
        }
        for module in modules
    ]
