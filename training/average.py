"""The exponential moving average of the weights: what is validated and shipped."""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` (its `.module`) that follows the weights by `update_parameters(model)` after every step.

    Args:
        decay: in (0, 1), share of the old average kept. The n-th update keeps min(decay, (1 + n) / (10 + n)), so that
            the first weights are soon forgotten.
    """

    def follow(averages: list[Tensor], weights: list[Tensor], updates: Tensor) -> None:
        warm = (1 + int(updates)) / (10 + int(updates))
        get_ema_multi_avg_fn(min(decay, warm))(averages, weights, updates)

    return AveragedModel(model, multi_avg_fn=follow).eval()
