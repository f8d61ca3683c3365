"""One training run: its network, optimizer and position, and the stages it goes through."""

import argparse
import dataclasses
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import utils
from datasets.training import mix_seeds
from models import Config, Interpolation, WaveletVFI, find_config, load_weights
from models.losses import Loss, reconstruction, training_loss

from .log import TrainingLog

WARM_UP, STATIC, DYNAMIC = "warm-up", "static", "dynamic"


class Position(NamedTuple):
    """Where a run stands. epoch, batch: the next batch; step: optimizer steps done; seconds: spent training so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0


class FlowOnly(nn.Module):
    """The network without synthesis, for the warm-up of MP-Net: the frame is the merged one."""

    def __init__(self, model: WaveletVFI):
        super().__init__()
        self.model = model

    def forward(self, img0: Tensor, img1: Tensor) -> Interpolation:
        motion, merged = self.model.perceive(img0, img1)
        return Interpolation(merged, merged, motion, torch.ones_like(motion.ratio_logits[:, :1]), [])


class Trainer:
    """One run: the network, its optimizer, where it stands, and the folder it writes to."""

    def __init__(self, args: argparse.Namespace, process: utils.Process, batches_per_epoch: int):
        self.args, self.process, self.batches_per_epoch = args, process, batches_per_epoch
        self.position, self.best = Position(), -math.inf
        checkpoint = utils.load_checkpoint(args.resume) if args.resume else None
        self.model = build_model(args, checkpoint).to(process.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args.lr_start, weight_decay=0)
        self.out, self.stage, self.network = Path(args.out), "", None
        self.saved_at, self.log = time.monotonic(), None
        if checkpoint:
            self._resume(checkpoint)
        if process.is_main:
            self.log = TrainingLog(self.out / "tensorboard", self.model.config.ratios, first_step=self.position.step)

    def progress(self) -> float:
        """How far the run is, 0 to 1: by epochs, or by time where `--time_limit` is set."""
        if self.args.time_limit:
            return min(1.0, self.position.seconds / (60 * self.args.time_limit))
        return min(1.0, (self.position.epoch + self.position.batch / self.batches_per_epoch) / self.args.epochs)

    def temperature(self) -> float:
        """The paper's annealing per epoch, max(1 - epoch / (epochs / 2), 0.4)."""
        done = self.progress() if self.args.time_limit else self.position.epoch / self.args.epochs
        return max(1 - 2 * done, 0.4)

    def enter_stage(self) -> str:
        """Choose what is trained now and wrap it for its processes. Frozen: what the stage's loss does not reach."""
        stage = DYNAMIC if self.args.dynamic else WARM_UP if self.progress() < self.args.flow_warmup else STATIC
        if stage != self.stage:
            self.stage = stage
            self.model.requires_grad_(stage != WARM_UP)
            self.model.motion.requires_grad_(True)
            self.model.motion.classifier.requires_grad_(stage == DYNAMIC)
            network = FlowOnly(self.model) if stage == WARM_UP else self.model
            self.network = DistributedDataParallel(network) if self.process.world_size > 1 else network
        return stage

    def step(self, frames: Tensor) -> tuple[Interpolation, Loss, float]:
        """One optimizer step on (B, 3 frames, 3, H, W) uint8. Returns the output, the loss and the learning rate."""
        begun, stage, progress = time.monotonic(), self.enter_stage(), self.progress()
        lr = self.args.lr_end + (self.args.lr_start - self.args.lr_end) * (1 + math.cos(math.pi * progress)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Gumbel noise depends on the step alone, so that a resumed run repeats it.
        torch.manual_seed(mix_seeds(self.args.seed, self.position.step, self.process.rank))
        img0, imgt, img1 = (frames.to(self.process.device).float() / 255).unbind(1)
        choice = {WARM_UP: {}, STATIC: {"ratio": 0.0}, DYNAMIC: {"temperature": self.temperature()}}[stage]
        output = self.network(img0, img1, **choice)
        loss = flow_loss(output, imgt) if stage == WARM_UP else training_loss(output, imgt)
        if not torch.isfinite(loss.total):
            raise ValueError(
                f"the loss became {loss.total.item()} at step {self.position.step}; "
                f"resume from {self.out / 'last.pth'} with a lower --lr_start"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.optimizer.step()
        self.position = self.position._replace(
            batch=self.position.batch + 1,
            step=self.position.step + 1,
            seconds=self._common(self.position.seconds + time.monotonic() - begun),
        )
        return output, loss, lr

    def save(self, name: str, *, whole: bool = True) -> None:
        """Write `name` into the run's folder; `whole` with everything needed to continue, else the weights alone."""
        if not self.process.is_main:
            return
        state = {"model": self.model.state_dict(), "config": dataclasses.asdict(self.model.config)}
        state |= {"stage": self.stage, "position": tuple(self.position), "best": self.best}
        if whole:
            args = vars(self.args) | {"world_size": self.process.world_size}
            state |= {"optimizer": self.optimizer.state_dict(), "args": args}
        utils.save_checkpoint(self.out / name, state)

    def save_if_due(self) -> None:
        if time.monotonic() - self.saved_at > 60 * self.args.save_minutes:
            self.save("last.pth")
            self.saved_at = time.monotonic()

    def _common(self, seconds: float) -> float:
        """The longest of all processes: where time plans the schedule, all must agree on it."""
        if self.process.world_size == 1 or not self.args.time_limit:
            return seconds
        longest = torch.tensor(seconds, dtype=torch.float32, device=self.process.device)
        dist.all_reduce(longest, dist.ReduceOp.MAX)
        return longest.item()

    def _resume(self, checkpoint: dict) -> None:
        if "optimizer" not in checkpoint:
            raise ValueError(f"{self.args.resume} holds weights alone; use --init_from, or --resume a last.pth")
        earlier, now = checkpoint["args"], vars(self.args) | {"world_size": self.process.world_size}
        for name in ("dynamic", "batch_size", "seed", "crop_size", "world_size"):
            if earlier[name] != now[name]:
                raise ValueError(
                    f"{self.args.resume} was made with --{name} {earlier[name]}, not {now[name]}; "
                    "a resumed run keeps it (a new stage starts with --init_from)"
                )
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.position, self.best = Position(*checkpoint["position"]), checkpoint["best"]


def flow_loss(output: Interpolation, imgt: Tensor) -> Loss:
    """The reconstruction loss of the merged frame alone."""
    rec = reconstruction(output.merged, imgt).mean()
    return Loss(rec, rec, torch.zeros_like(rec), torch.zeros_like(rec))


def build_model(args: argparse.Namespace, checkpoint: dict | None) -> WaveletVFI:
    """The network to train: resumed, started from other weights, or fresh."""
    source = args.resume
    if checkpoint is None and args.init_from:
        checkpoint, source = utils.load_checkpoint(args.init_from), args.init_from
    stored = checkpoint.get("config") if checkpoint else None
    config = Config(**stored) if stored else find_config(args.config)
    if args.ratios:
        config = dataclasses.replace(config, ratios=tuple(args.ratios))
    model = WaveletVFI(config)
    if checkpoint:
        load_weights(model, checkpoint["model"], source=source)
    return model
