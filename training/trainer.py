"""One training run: its network, its optimizer, its position, and its optimizer steps."""

import contextlib
import dataclasses
import math
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import utils
from datasets.loading import STOP_SIGNALS, Sample, mix_seeds
from models import PRECISIONS, Interpolation, WaveletVFI
from models.losses import Loss

from . import checkpoints
from .checkpoints import take_over_optimizer
from .log import TrainingLog
from .optimizer import Position, Schedule, average_weights, make_optimizer
from .options import Settings
from .plots import write_report
from .stages import DYNAMIC, STATIC, WARM_UP, Step, build_model, loss_of, open_teacher, stage_of, trained_network
from .validation import Validation


class StopRequest:
    """A context that notes the first signal that asks the run to stop. A second signal ends the process at once.

    number: the number of that signal, or 0.
    """

    def __init__(self):
        self.number, self._handlers = 0, {}

    def __enter__(self) -> "StopRequest":
        self._handlers = {number: signal.signal(number, self._receive) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        self.number = number
        self.__exit__()


class Trainer:
    """A training run on one process: the network, its optimizer, the position of the run, and its folder of results."""

    def __init__(self, settings: Settings, process: utils.Process, steps_per_epoch: int):
        self.settings, self.process = settings, process
        self.schedule = Schedule(settings, steps_per_epoch)
        self.position, self.best = Position(), -math.inf
        self.out, self.stage, self.network = Path(settings.out), "", None
        compiles_loss = settings.compile and process.device.type != "cpu"  # on a CPU, this takes minutes
        self.loss_of = torch.compile(loss_of) if compiles_loss else loss_of
        self.stop_request, self.stopped_by = StopRequest(), 0
        self.teacher = open_teacher(settings.teacher) if settings.teacher else None
        source, checkpoint = self._find_checkpoint()
        self.model = build_model(settings, source, checkpoint).to(process.device, memory_format=torch.channels_last)
        if settings.any_time and not self.model.config.any_time:
            raise ValueError(
                "--any_time needs a network that takes the time as an input, and this one does not; make one of its "
                "weights with: python -m training.tools resize --set any_time=true --from ..."
            )
        self.average = average_weights(self.model, settings.ema) if settings.ema else None
        self.optimizer = make_optimizer(settings.optimizer, self.model, settings.lr_start, process.device.type)
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=settings.precision == "fp16")
        self.saved_at, self.log = time.monotonic(), None
        if checkpoint:
            self._resume(source, checkpoint)
        elif settings.branch_from:
            take_over_optimizer(settings.branch_from, self.model, self.optimizer, settings.optimizer)
        if process.is_main:
            self.log = TrainingLog(self.out, self.model.config.ratios, self.position)
            begun = f"resumed from {source}" if checkpoint else f"started in {self.out}"
            self.log.note(f"{begun} at step {self.position.step}")
        self._counted = time.monotonic()

    def progress(self) -> float:
        """Return the part of the run that is done, 0 to 1."""
        return self.schedule.progress(self.position)

    def validated_model(self) -> WaveletVFI:
        """Return the network to validate and to ship: the averaged one, or without `--ema` the trained one."""
        return self.average.module if self.average else self.model

    def step(self, batches: Sequence[Sample]) -> Step:
        """Do one optimizer step on `--accumulate` batches.

        Args:
            batches: frames (B, 3 frames, 3, H, W) uint8 and times (B,).
        Raises:
            ValueError: `--max_bad_steps` steps in a row had a loss or a gradient that is not finite.
        """
        self._enter_stage()
        learning_rate = self.schedule.learning_rate(self.position)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        # Gumbel noise depends on the step alone, so that a resumed run repeats it.
        torch.manual_seed(mix_seeds(self.settings.seed, self.position.step, self.process.rank))
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for number, (frames, times) in enumerate(batches, start=1):
            with self._gradients_shared(number == len(batches)):
                output, imgt, loss = self._forward(frames, times)
                self.scaler.scale(loss.total / len(batches)).backward()
            losses.append(torch.stack([term.detach() for term in loss]))
        loss = Loss(*torch.stack(losses).mean(0))
        done = Step(output, imgt, loss, learning_rate, self._temperature(), self._gradient_norm())
        self._update(done)
        return done

    def finish_validation(self, found: Validation) -> None:
        """Log a validation. If its PSNR is the best of the run so far, save the weights as best.pth."""
        self.position = self.position._replace(validated=self.position.step)
        if self.log:
            self.log.validation(self.position.step, found)
        if found.psnr > self.best:
            self.best = found.psnr
            if self.process.is_main:
                utils.save_checkpoint(self.out / "best.pth", self._describe(self.validated_model()))

    def save(self) -> None:
        """Save a checkpoint with everything that is needed to continue. The last `--keep` checkpoints stay."""
        if self.process.is_main:
            self.log.flush()
            state = self._describe(self.model) | self._state_to_continue()
            checkpoints.save(self.out, state, step=self.position.step, keep=self.settings.keep)
            self.saved_at = time.monotonic()

    def save_if_due(self) -> None:
        """Save a checkpoint if `--save_minutes` have passed since the last one."""
        if time.monotonic() - self.saved_at > 60 * self.settings.save_minutes:
            self.save()

    def report(self) -> None:
        """Write the report of the finished run: its table and its curves."""
        if self.process.is_main:
            self.log.flush()
            batch = f"{self.settings.batch_size} x {self.settings.accumulate} x {self.process.world_size}"
            settings = {"skipped steps": self.position.skipped, "stage": stage_of(self.settings, 1)}
            settings["precision"] = self.settings.precision
            settings |= {"batch size x accumulated x processes": batch, "device": self.process.device.type}
            write_report(self.out, settings, seconds=self.position.seconds)

    def agree(self, *values: float) -> list[float]:
        """Return the largest of each value over all processes, so that all of them decide alike."""
        if self.process.world_size == 1:
            return list(values)
        largest = torch.tensor(values, dtype=torch.float64, device=self.process.device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return largest.tolist()

    def agree_to_stop(self) -> bool:
        """Return True if a signal asked any process to stop."""
        self.stopped_by = int(*self.agree(self.stop_request.number))
        return self.stopped_by > 0

    def _enter_stage(self) -> None:
        """Choose the module to train now. Wrap it for several processes and for compilation."""
        stage = stage_of(self.settings, self.progress())
        if stage == self.stage:
            return
        self.stage, only = stage, self.settings.classifier_only
        network = trained_network(self.model, stage, classifier_only=only)
        if self.process.world_size > 1:
            network = DistributedDataParallel(network)
        self.network = torch.compile(network) if self.settings.compile else network

    def _forward(self, frames: Tensor, times: Tensor) -> tuple[Interpolation, Tensor, Loss]:
        """Return the output, imgt and the loss for (B, 3 frames, 3, H, W) uint8. The loss is always in float32."""
        frames = frames.to(self.process.device, non_blocking=True).float() / 255
        img0, imgt, img1 = frames.unbind(1)
        options = {WARM_UP: {}, STATIC: {"ratio": 0.0}, DYNAMIC: {"temperature": self._temperature()}}[self.stage]
        if self.settings.any_time:
            options["t"] = times.float().to(self.process.device)
        if self.settings.scales:  # the draw depends on the step alone, so it is the same on every process
            draw = random.Random(mix_seeds(self.settings.seed, self.position.step))
            options["passes"] = draw.choice(self.settings.scales)
        dtype = PRECISIONS[self.settings.precision]
        with torch.autocast(self.process.device.type, dtype, enabled=dtype != torch.float32):
            output = self.network(img0, img1, **options)
            taught = self.teacher(img0, img1, imgt, options.get("t")) if self.teacher else None
        return output, imgt, self.loss_of(output, imgt, self.stage, self.settings, taught, (img0, img1))

    def _temperature(self) -> float | None:
        return self.schedule.temperature(self.position) if self.stage == DYNAMIC else None

    def _gradients_shared(self, shared: bool) -> contextlib.AbstractContextManager:
        """Return a context in which gradients stay in their process, unless they are to be shared."""
        return contextlib.nullcontext() if shared or self.process.world_size == 1 else self.network.no_sync()

    def _gradient_norm(self) -> Tensor:
        """Return the norm of all gradients, and limit the gradients to `--clip_norm` if it is given."""
        self.scaler.unscale_(self.optimizer)
        trained = [p for p in self.model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in trained])
        if self.settings.clip_norm:
            nn.utils.clip_grads_with_norm_(trained, self.settings.clip_norm, norm)
        return norm

    def _update(self, done: Step) -> None:
        """Update the weights, unless a loss or a gradient of any process is not finite. Advance the position."""
        finite = bool(torch.isfinite(done.loss.total) & torch.isfinite(done.gradient_norm))
        before, self._counted = self._counted, time.monotonic()
        seconds, stopped_by, bad = self.agree(
            self.position.seconds + self._counted - before, self.stop_request.number, not finite
        )
        if not bad:
            self.scaler.step(self.optimizer)
            if self.average:
                self.average.update_parameters(self.model)
        self.scaler.update()
        self.stopped_by, skipped = int(stopped_by), self.position.skipped + int(bad)
        in_row = self.position.skipped_in_row + 1 if bad else 0
        step, validated = self.position.step + 1, self.position.validated
        self.position = Position(step, seconds, validated, skipped, in_row)
        values = f"loss {done.loss.total:.3g}, gradient norm {done.gradient_norm:.3g}"
        if bad and self.log:
            self.log.note(f"step {step}: skipped, not finite ({values}), {in_row} in a row, {skipped} in all")
        if in_row >= self.settings.max_bad_steps:
            saved = next(iter(checkpoints.list_newest(self.out)), None)
            raise ValueError(
                f"{in_row} steps in a row, up to step {step}, had a loss or a gradient that is not finite and were "
                f"skipped ({values}); "
                f"last good checkpoint: {saved or 'none yet'}; continue it with a lower --lr_start or with --clip_norm"
            )

    def _kept_options(self) -> dict[str, Any]:
        """Return the options that a resumed run must share with the run that it continues."""
        options = vars(self.settings) | {"world_size": self.process.world_size}
        kept = {name: options[name] for name in checkpoints.KEPT_OPTIONS}
        return kept | {"steps_per_epoch": self.schedule.steps_per_epoch}

    def _describe(self, model: WaveletVFI) -> dict[str, Any]:
        """Return the weights of a model with its configuration, and the stage, position and best score of the run."""
        state = {"model": model.state_dict(), "config": dataclasses.asdict(model.config)}
        return state | {"stage": self.stage, "position": self.position._asdict(), "best": self.best}

    def _state_to_continue(self) -> dict[str, Any]:
        state = {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}
        state |= {"options": self._kept_options(), "lr_warmup": self.schedule.lr_warmup}
        state["args"] = vars(self.settings)
        return state | ({"average": self.average.state_dict()} if self.average else {})

    def _find_checkpoint(self) -> tuple[str, dict | None]:
        """Return path and content of the checkpoint to continue from, or "" and None.

        The main process reads it for all processes, as other hosts need not have the file.
        """
        found = [checkpoints.find(self.out, self.settings.resume) if self.process.is_main else None]
        if self.process.world_size > 1:
            dist.broadcast_object_list(found, src=0, device=self.process.device)
        return found[0]

    def _resume(self, source: str, checkpoint: dict) -> None:
        """Restore everything of a checkpoint except the weights, which the model has already."""
        checkpoints.check_options(source, checkpoint, self._kept_options())
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        if self.average:
            self.average.load_state_dict(checkpoint["average"])
        self.position, self.best = Position(**checkpoint["position"]), checkpoint["best"]
        if self.settings.lr_warmup is None:
            self.schedule.lr_warmup = checkpoint["lr_warmup"]
