"""Train WaveletVFI in the paper's two stages, on one process or many.

    python train_vimeo90k.py --data_root vimeo_triplet --config small --batch_size 8 --crop_size 128
    python -m torch.distributed.launch --nproc_per_node=4 train_vimeo90k.py --world_size 4 --epochs 300 \
        --batch_size 6 --lr_start 1e-4 --lr_end 1e-5
    torchrun --nproc_per_node=4 train_vimeo90k.py --epochs 100 --batch_size 6 --lr_start 1e-4 --lr_end 1e-5 \
        --dynamic true --init_from runs/static/best.pth

The static stage (threshold ratio 0) comes first. The dynamic stage starts from its weights. `--data_root` is a folder
in Vimeo90K's layout, a folder of short clips, or made-up shapes:COUNT. Several roots are mixed.
"""

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import contextlib
import signal
import sys

import torch
import torch.distributed as dist
from tqdm import tqdm

import utils
from datasets import ClipTriplets, EpochSampler, Loader, Mixture, TrainingAugmentation, TrainingSet, open_mixture
from training.log import Meter
from training.options import Settings, build_parser, check_args
from training.trainer import Trainer
from training.validation import gather_scores, score_images


def main(args: argparse.Namespace) -> None:
    settings = Settings(**vars(args))
    process = utils.init_distributed(settings.device)
    check_args(settings, process)
    utils.seed_everything(settings.seed)
    triplets, validation = open_data(settings, process)
    samples = settings.batch_size * settings.accumulate  # of one optimizer step on one process
    sampler = EpochSampler(len(triplets), samples, rank=process.rank, world_size=process.world_size, seed=settings.seed)
    trainer = Trainer(settings, process, sampler.batches_per_epoch)
    augmentation = TrainingAugmentation(
        settings.crop_size, exposure=settings.exposure, where_it_moves=settings.where_it_moves
    )
    data = TrainingSet(triplets, augmentation, any_time=settings.any_time, seed=settings.seed)
    pin_memory = process.device.type == "cuda"
    loader = Loader(data, settings.batch_size, sampler=sampler, workers=settings.workers, pin_memory=pin_memory)
    if process.is_main:
        sizes = f"{len(triplets)} training and {len(validation)} validation triplets"
        print(f"{sizes}, {sampler.batches_per_epoch} steps an epoch")
    with contextlib.closing(loader):
        run(trainer, loader, triplets, validation)
    if trainer.stopped_by:
        sys.exit(128 + trainer.stopped_by)


def open_data(settings: Settings, process: utils.Process) -> tuple[Mixture, Mixture]:
    """Open the triplets to train on and those to validate on."""
    cache = {"cache_gib": settings.cache_gib, "cache_folder": settings.cache_folder, "show_progress": process.is_main}
    triplets = open_mixture(settings.data_root, "train", skip_bad=settings.skip_bad, strides=settings.strides, **cache)
    if not settings.val_root:
        clips = [root for root, part in triplets.parts.items() if isinstance(part, ClipTriplets)]
        if clips:
            raise ValueError(f"{clips[0]} holds clips to train on; give other triplets to validate on with --val_root")
    # Without `skip_bad`: the image that takes the place of a bad one would count twice.
    return triplets, open_mixture(settings.val_root or settings.data_root, "test", **cache)


def run(trainer: Trainer, loader: Loader, triplets: Mixture, validation: Mixture) -> None:
    """Train and validate until the run ends, or until a signal asks to stop."""
    with trainer.stop_request:
        while not trainer.stopped_by:
            if trainer.schedule.is_validation_due(trainer.position):
                validate(trainer, validation)
            elif trainer.progress() < 1:
                train_one_epoch(trainer, loader)
                note_skipped(trainer, triplets)
            else:
                break
            trainer.save()
    if not trainer.stopped_by:
        trainer.report()
    elif trainer.log:
        name = signal.Signals(trainer.stopped_by).name
        trainer.log.note(
            f"stopped by {name} and saved at step {trainer.position.step}; --resume auto goes on from there"
        )


def train_one_epoch(trainer: Trainer, loader: Loader) -> None:
    """Train until the epoch or the time of the run ends, or until a signal asks to stop."""
    settings, process = trainer.settings, trainer.process
    epoch, first = trainer.schedule.epoch(trainer.position)
    loader.sampler.start_at(epoch, first)
    meter = Meter(settings.batch_size * settings.accumulate * process.world_size)
    steps = meter.watch(zip(*[iter(loader)] * settings.accumulate, strict=True))
    count = trainer.schedule.steps_per_epoch
    bar = tqdm(steps, f"epoch {epoch}", count, initial=first, unit="step", disable=None if process.is_main else True)
    for batches in bar:
        done = trainer.step(batches)
        if trainer.log:
            trainer.log.add(done.loss)
        if process.is_main and trainer.position.step % settings.log_every == 0:
            throughput = meter.read()
            trainer.log.step(trainer.position, done, throughput)
            loss, waiting = f"{done.loss.total:.4f}", f"{throughput.loader_share:.0%}"
            bar.set_postfix(stage=trainer.stage, loss=loss, waiting=waiting, run=f"{trainer.progress():.1%}")
        trainer.save_if_due()
        if trainer.stopped_by or trainer.progress() >= 1:
            break


def note_skipped(trainer: Trainer, triplets: Mixture) -> None:
    """Log the number of samples that `--skip_bad` has left out so far, on all processes. Each was named earlier."""
    if not trainer.settings.skip_bad:
        return
    bad = triplets.bad.to(trainer.process.device, torch.uint8)
    if trainer.process.world_size > 1:
        dist.all_reduce(bad, dist.ReduceOp.MAX)
    count = len(triplets.skipped(bad))
    if count and trainer.log:
        trainer.log.note(f"{count} missing or corrupt samples or clips skipped so far")


def validate(trainer: Trainer, triplets: Mixture) -> None:
    """Score each validation triplet once with the weights to ship. Save the weights if they are the best so far."""
    process, model, log = trainer.process, trainer.validated_model().eval(), trainer.log
    scores = score_images(
        model,
        triplets,
        process,
        ratio=None if trainer.settings.dynamic else 0.0,
        is_stopped=lambda: bool(trainer.stop_request.number),
        show=lambda output, imgt: log.images(trainer.position.step, output, imgt),
    )
    trainer.model.train()
    if not trainer.agree_to_stop():
        trainer.finish_validation(gather_scores(scores, process, len(model.config.ratios)))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    return build_parser(__doc__).parse_args(argv)


if __name__ == "__main__":
    run_script(main, parse_args())
