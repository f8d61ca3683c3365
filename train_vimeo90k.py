"""Train WaveletVFI in the paper's two stages, on one process or many.

    python train_vimeo90k.py --data_root vimeo_triplet --config small --batch_size 8 --crop_size 128
    python -m torch.distributed.launch --nproc_per_node=4 train_vimeo90k.py --world_size 4 --epochs 300 \
        --batch_size 6 --lr_start 1e-4 --lr_end 1e-5
    torchrun --nproc_per_node=4 train_vimeo90k.py --epochs 100 --batch_size 6 --lr_start 1e-4 --lr_end 1e-5 \
        --dynamic true --init_from runs/static/best.pth

The static stage (threshold ratio 0) comes first; the dynamic one starts from its weights. `--data_root` is a folder in
Vimeo90K's layout or a folder of short clips.
"""

import argparse
import os

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

import utils
from benchmark.metrics import psnr
from datasets import ClipTriplets, EpochSampler, TrainingAugmentation, TrainingSet, TripletDataset, open_triplets
from training import DYNAMIC, Trainer


def main(args: argparse.Namespace) -> None:
    process = utils.init_distributed(args.device)
    check_args(args, process)
    utils.seed_everything(args.seed)
    triplets = open_triplets(args.data_root, "train")
    validation = open_triplets(args.val_root or args.data_root, "test")
    if isinstance(validation, ClipTriplets) and not args.val_root:
        raise ValueError(
            f"{args.data_root} holds clips to train on; give other triplets to validate on with --val_root"
        )
    sampler = EpochSampler(
        len(triplets), args.batch_size, rank=process.rank, world_size=process.world_size, seed=args.seed
    )
    trainer = Trainer(args, process, sampler.batches_per_epoch)
    data = TrainingSet(triplets, TrainingAugmentation(args.crop_size), seed=args.seed)
    loader = DataLoader(data, args.batch_size, sampler=sampler, num_workers=args.workers)
    if process.is_main:
        sizes = f"{len(triplets)} training and {len(validation)} validation triplets"
        print(f"{sizes}, {sampler.batches_per_epoch} steps an epoch")
    while trainer.progress() < 1:
        sampler.start_at(trainer.position.epoch, trainer.position.batch)
        train_one_epoch(trainer, loader)
        if trainer.progress() >= 1 or trainer.position.epoch % args.val_every == 0:
            validate(trainer, validation)
        trainer.save("last.pth")


def train_one_epoch(trainer: Trainer, loader: DataLoader) -> None:
    """The rest of the epoch the trainer stands in, or until the time is over."""
    args, is_main = trainer.args, trainer.process.is_main
    bar = tqdm(loader, desc=f"epoch {trainer.position.epoch}", unit="step", disable=not is_main, mininterval=1)
    for frames in bar:
        output, loss, lr = trainer.step(frames)
        if is_main and trainer.position.step % args.log_every == 0:
            temperature = trainer.temperature() if trainer.stage == DYNAMIC else None
            trainer.log.step(trainer.position.step, output, loss, lr, temperature)
            bar.set_postfix(stage=trainer.stage, loss=f"{loss.total.item():.4f}", progress=f"{trainer.progress():.1%}")
        trainer.save_if_due()
        if args.time_limit and trainer.progress() >= 1:
            break
    else:
        trainer.position = trainer.position._replace(epoch=trainer.position.epoch + 1, batch=0)


@torch.no_grad()
def validate(trainer: Trainer, triplets: TripletDataset) -> float:
    """PSNR (dB, mean over images) and cost on the validation triplets, each once; keeps the best weights."""
    process, model = trainer.process, trainer.model.eval()
    mine = Subset(triplets, range(process.rank, len(triplets), process.world_size))
    sums = torch.zeros(4 + len(model.config.ratios), dtype=torch.float64, device=process.device)
    for index, triplet in enumerate(
        tqdm(mine, desc="validation", unit="pair", disable=not process.is_main, leave=False)
    ):
        img0, imgt, img1 = (frame[None].to(process.device).float() / 255 for frame in triplet)
        output = model.interpolate_details(img0, img1, ratio=None if trainer.args.dynamic else 0.0)
        merged = output.merged[..., : imgt.shape[-2], : imgt.shape[-1]]
        (candidate,) = output.candidates
        chosen = (candidate.ratio == candidate.ratio.new_tensor(model.config.ratios)).double()
        scores = [psnr(output.frame, imgt), psnr(merged, imgt), candidate.cost, torch.ones_like(candidate.cost)]
        sums += torch.cat([torch.cat(scores).double(), chosen])
        if process.is_main and index == 0:
            trainer.log.images(trainer.position.step, output, imgt)
    if process.world_size > 1:
        dist.all_reduce(sums)
    model.train()
    frame, merged, cost, *shares = (sums / sums[3]).tolist()
    if process.is_main:
        trainer.log.validation(trainer.position.step, frame, merged, cost, shares[1:])
    if frame > trainer.best:
        trainer.best = frame
        trainer.save("best.pth", whole=False)
    return frame


def check_args(args: argparse.Namespace, process: utils.Process) -> None:
    if args.world_size not in (None, process.world_size):
        raise ValueError(
            f"--world_size {args.world_size}, but {process.world_size} process(es) run; start with "
            f"torchrun --nproc_per_node={args.world_size} train_vimeo90k.py ..."
        )
    for name in ("epochs", "batch_size", "crop_size", "log_every", "val_every"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be positive, got {getattr(args, name)}")
    if args.crop_size % 16:
        raise ValueError(f"--crop_size must be a multiple of 16, got {args.crop_size}")
    if args.dynamic and not (args.init_from or args.resume) and process.is_main:
        print("warning: the dynamic stage starts from static weights in the paper; give them with --init_from")
    if args.time_limit and process.is_main:
        print(f"the schedule is planned for {args.time_limit} minutes; --epochs is not used")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name: str, **options: object) -> None:
        parser.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), dest=name, **options)

    add("data_root", default="vimeo_triplet", help="Vimeo90K's folder, or a folder of short clips")
    add("val_root", help="validation triplets (default: the test split of --data_root)")
    add("out", default="runs/train", help="folder for checkpoints and TensorBoard")
    add("config", default="base", help="base (the paper's) or small; stored weights bring their own")
    add("dynamic", type=_boolean, nargs="?", const=True, default=False, help="the dynamic stage (default: static)")
    add("epochs", type=int, default=300, help="paper: 300 static, 100 dynamic")
    add("batch_size", type=int, default=6, help="per process; paper: 6 on each of 4 GPUs")
    add("lr_start", type=float, default=1e-4, help="paper: 1e-4")
    add("lr_end", type=float, default=1e-5, help="paper: 1e-5")
    add("crop_size", type=int, default=256, help="paper: 256")
    add("ratios", type=float, nargs="+", help="candidate threshold ratios; default: the configuration's")
    add(
        "flow_warmup", type=float, default=0.0, help="first part of a static run on the merged frame alone; paper: none"
    )
    add("init_from", help="start from these weights")
    add("resume", help="continue the run that wrote this last.pth")
    add("time_limit", type=float, default=0.0, help="minutes; plans the schedule by time instead of --epochs")
    add("world_size", type=int, help="number of processes, checked against the launcher's")
    add("local_rank", type=int, default=int(os.environ.get("LOCAL_RANK", 0)), help="given by the launcher")
    add("device", default="auto", help="auto, cpu, cuda, mps")
    add("workers", type=int, default=2, help="data loading processes per process")
    add("val_every", type=int, default=1, help="epochs between validations")
    add("save_minutes", type=float, default=5.0, help="minutes between saves of last.pth within an epoch")
    add("log_every", type=int, default=50, help="steps between TensorBoard entries")
    add("seed", type=int, default=1234, help="of order, augmentation and Gumbel noise")
    return parser.parse_args(argv)


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"true or false is needed, got {text!r}")
    return values[text.lower()]


if __name__ == "__main__":
    utils.run_script(main, parse_args())
