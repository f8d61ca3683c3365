"""The optimizers, AdamW (the paper's) and Muon for convolutions, the moving average of the weights, and the schedule.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) takes the momentum of a weight matrix and makes
all of its singular values about 1, so that every direction of the matrix learns equally fast. On the same 700 batches
of the second edition's trunk, its PSNR was 0.1 dB higher than AdamW's (checkpoints/TRAINING.md). `torch.optim.Muon`
takes matrices only; this class also takes convolutions and vectors.

The schedule gives the values that depend on the position of a run: progress, learning rate, temperature.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .options import Settings

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration: singular values end between 0.7 and 1.2
ITERATIONS = 5
SIZE = 0.2  # root mean square of an update at learning rate 1, as AdamW's (Liu et al., 2025, arXiv:2502.16982)
FUSED_DEVICES = ("cpu", "cuda", "mps")
WARM_UP_WITH_WEIGHTS = 100  # steps of rising learning rate, for a run that starts from weights


class Muon(torch.optim.AdamW):
    """Muon for the weights of convolutions, AdamW for all other parameters.

    The weight (out, in, k, k) of a convolution is treated as a matrix of out rows and in k^2 columns.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float):
        super().__init__(params, lr=lr, weight_decay=0)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. The gradients are not changed."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        gradients = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.dim() == 4:
                    gradients.append((parameter, parameter.grad))
                    self._update(parameter, group["lr"])
                    parameter.grad = None  # AdamW's step below skips parameters without a gradient
        super().step()
        for parameter, gradient in gradients:
            parameter.grad = gradient

    def _update(self, weight: nn.Parameter, learning_rate: float) -> None:
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        if not state:
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(state["momentum"], MOMENTUM)  # Nesterov's
        matrix = ahead.flatten(1)
        change = orthogonalize(matrix).view(weight.shape)
        weight.sub_(change, alpha=learning_rate * SIZE * max(matrix.shape) ** 0.5)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return about U V^T for a matrix (n, m) = U S V^T: the same directions, with all singular values near 1."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if is_tall else x


def make_optimizer(name: str, model: nn.Module, lr: float, device: str) -> torch.optim.Optimizer:
    """Return the optimizer `name`, "adamw" or "muon", of all parameters of a model."""
    if name == "muon":
        return Muon(model.parameters(), lr)
    return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0, fused=device in FUSED_DEVICES)


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of the weights of `model`, which is validated and shipped.

    Call `update_parameters(model)` of the result after every step. Its `.module` is a copy of `model`, averaged.

    Args:
        decay: in (0, 1), the share of the old average that an update keeps. The n-th update keeps
            min(decay, (1 + n) / (10 + n)), so that the first weights are soon forgotten.
    """

    def follow(averages: list[Tensor], weights: list[Tensor], updates: Tensor) -> None:
        warm = (1 + int(updates)) / (10 + int(updates))
        get_ema_multi_avg_fn(min(decay, warm))(averages, weights, updates)

    return AveragedModel(model, multi_avg_fn=follow).eval()


class Position(NamedTuple):
    """The position of a run. The next samples, their augmentation and the noise depend on `step` alone.

    step: optimizer steps that are done, including skipped ones.
    seconds: the time of the run so far, without interruptions.
    validated: the step of the last validation.
    skipped: steps that were skipped because their loss or gradient was not finite, in the whole run.
    skipped_in_row: such steps since the last good one.
    """

    step: int = 0
    seconds: float = 0.0
    validated: int = 0
    skipped: int = 0
    skipped_in_row: int = 0


class Schedule:
    """The plan of a run: by epochs, or by time if `--time_limit` is set."""

    def __init__(self, settings: Settings, steps_per_epoch: int):
        self.settings, self.steps_per_epoch = settings, steps_per_epoch
        self.lr_warmup = settings.lr_warmup
        if self.lr_warmup is None:
            self.lr_warmup = WARM_UP_WITH_WEIGHTS if settings.init_from or settings.branch_from else 0

    def epoch(self, position: Position) -> tuple[int, int]:
        """Return the number of complete epochs, and the steps since the last of them."""
        return divmod(position.step, self.steps_per_epoch)

    def progress(self, position: Position) -> float:
        """Return the part of the run that is done, 0 to 1."""
        if self.settings.time_limit:
            return min(1.0, position.seconds / (60 * self.settings.time_limit))
        return min(1.0, position.step / (self.steps_per_epoch * self.settings.epochs))

    def learning_rate(self, position: Position) -> float:
        """Return half a cosine from lr_start to lr_end, as in the paper. The first `lr_warmup` steps rise to it."""
        cosine = (1 + math.cos(math.pi * self.progress(position))) / 2
        rising = min(1.0, (position.step + 1) / self.lr_warmup) if self.lr_warmup else 1.0
        return rising * (self.settings.lr_end + (self.settings.lr_start - self.settings.lr_end) * cosine)

    def temperature(self, position: Position) -> float:
        """Return the temperature of the Gumbel-softmax. The paper's is max(1 - epoch / (epochs / 2), 0.4)."""
        epochs_done = self.epoch(position)[0] / self.settings.epochs
        done = self.progress(position) if self.settings.time_limit else epochs_done
        return max(1 - done / self.settings.temperature_decay, self.settings.temperature_end)

    def is_validation_due(self, position: Position) -> bool:
        """Return True once at the end of the run and at the end of every `--val_every`-th epoch."""
        epoch, since = self.epoch(position)
        ends = since == 0 and epoch % self.settings.val_every == 0
        return position.step > position.validated and (ends or self.progress(position) >= 1)
