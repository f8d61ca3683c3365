"""Load weights into a network and save them: as files, by the released weights' names, and with huggingface_hub.

No other module imports the optional package huggingface_hub.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

import utils
from common.startup import require

from .config import AUTO, Config, config_of

#: Buffers of the released file that hold fixed Haar filters. Ours are in the code.
FILTERS = tuple(f"waveletencoder.dwt.h{i}_{axis}" for i in (0, 1) for axis in ("col", "row")) + tuple(
    f"idwt.g{i}_{axis}" for i in (0, 1) for axis in ("col", "row")
)
WEIGHTS, CONFIG = "model.safetensors", "config.json"  # the hub's names of these files
CARD = Path(__file__).with_name("model_card.md")  # template of a model card
Network = TypeVar("Network", bound="Pretrained")


def load_weights(model: nn.Module, weights: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict with our names or the released ones. All names and shapes must fit.

    Args:
        model: the network.
        weights: the state dict.
        source: name of the file for error messages.
    Raises:
        ValueError: weights are not finite, or do not fit.
    """
    broken = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(f"{source}: NaN or infinite weights in {', '.join(broken[:3])}; use an earlier checkpoint")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise ValueError(
            f"{source} does not fit this network ({model.config}): {' '.join(lines)[:600]} "
            "(a file of another project, or weights of another configuration: see --config)"
        ) from error


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network to a file that `waveletvfi(path)` reads. The suffix chooses the format: .pth or .safetensors.

    Raises:
        OSError: the file cannot be written.
        ValueError: the package safetensors is missing.
    """
    utils.save_checkpoint(path, checkpoint_of(model.state_dict(), model.config))


def checkpoint_of(weights: dict[str, Tensor], config: Any) -> dict[str, Any]:
    """Return weights and their configuration as one checkpoint, which `utils.save_checkpoint` writes."""
    return {"model": weights, "config": dataclasses.asdict(config)}


def name_table() -> dict[str, str]:
    """Return our name for each released name of a layer with parameters."""
    table = {"conv4.0": "synthesis.coarsest.0", "conv4_l": "synthesis.low_head"}
    for level in (1, 2, 3, 4):
        i = level - 1
        for conv in (0, 1):
            table[f"ifnet.pconv{level}.{conv}.0"] = f"motion.encoder.levels.{i}.{conv}.0"
        for conv in (1, 2, 3, 4, 5):
            table[f"ifnet.decoder{level}.conv{conv}.0"] = f"motion.decoders.{i}.hidden.{conv - 1}.0"
        table[f"ifnet.decoder{level}.conv6"] = f"motion.decoders.{i}.output"
        table[f"contextnet.pconv1_{level}.0"] = f"context.frames.levels.{i}.0"
        table[f"contextnet.pconv2_{level}.0"] = f"context.merged.levels.{i}.0"
        table[f"conv{level}_h"] = f"synthesis.high_heads.{i}"
        if level < 4:
            table[f"conv{level}.0"] = f"synthesis.levels.{i}"
    for official, ours in (("0.0", "conv.0"), ("3", "linear.0"), ("5", "linear.2")):
        table[f"ifnet.decoder4.classifier.{official}"] = f"motion.classifier.{ours}"
    return table


def to_ours(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released state dict to our names. Other names stay as they are.

    A leading `module.` and the filter buffers are removed. No tensor is changed.
    """
    table = name_table()
    renamed = {}
    for key, value in state_dict.items():
        name = key.removeprefix("module.")
        if name in FILTERS:
            continue
        layer, _, kind = name.rpartition(".")
        renamed[f"{table.get(layer, layer)}.{kind}"] = value
    return renamed


def to_official(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights to the released names, without the filter buffers. Raises KeyError for an unknown name."""
    table = {ours: official for official, ours in name_table().items()}
    renamed = {}
    for key, value in state_dict.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{table[layer]}.{kind}"] = value
    return renamed


def hub_folder() -> Any:
    """Return the class of stored networks. Raises MissingPackageError if huggingface_hub is not installed."""
    require("huggingface_hub", "from_pretrained, save_pretrained or push_to_hub")
    from huggingface_hub import PyTorchModelHubMixin, hf_hub_download

    class HubFolder(
        PyTorchModelHubMixin,
        library_name="waveletvfi",
        license="mit",
        tags=["video-frame-interpolation", "wavelets"],
        pipeline_tag="image-to-image",
        paper_url="https://doi.org/10.1109/TIP.2023.3315151",
        model_card_template=CARD.read_text(),
    ):
        """A folder or repository with model.safetensors, config.json and a model card.

        The mixin is a base of this class instead of the network, so that the network does not need the package. The
        mixin downloads, uploads and writes the card. The files are read and written by this project's functions.
        """

        def __init__(self, weights: dict[str, Tensor], config: Config):
            self.weights, self.config = weights, config

        def generate_model_card(self, *args: Any, results: str = "", code_url: str = "", **options: Any) -> Any:
            """Fill the model card.

            Args:
                results: results measured with these weights, as Markdown.
                code_url: address of the code.
            """
            config = self.config
            widths = ("encoder", "decoder", "context", "synthesis")
            facts = {name: ", ".join(map(str, getattr(config, name))) for name in widths}
            facts["ratios"] = ", ".join(f"{ratio:g}" for ratio in config.ratios)
            facts["form"] = "a correction to the merged frame" if config.correction else "the frame itself"
            facts["times"] = "at any time between them" if config.any_time else "in the middle between them"
            facts["passes"] = "as many as the frame's size asks for" if config.passes == AUTO else str(config.passes)
            facts["parameters"] = f"{sum(tensor.numel() for tensor in self.weights.values()) / 1e6:.2f} million"
            return super().generate_model_card(*args, results=results, code_url=code_url, **facts, **options)

        def _save_pretrained(self, save_directory: Path) -> None:
            content = checkpoint_of(self.weights, self.config)
            utils.save_checkpoint(save_directory / WEIGHTS, content)
            with utils.atomic_path(save_directory / CONFIG) as temporary:
                temporary.write_text(json.dumps(content["config"], indent=2, sort_keys=True))

        @classmethod
        def _from_pretrained(cls, *, model_id: str, config: Config | None = None, **download: Any) -> "HubFolder":
            folder = Path(model_id)
            path = folder / WEIGHTS if folder.is_dir() else hf_hub_download(model_id, WEIGHTS, **download)
            content = utils.load_checkpoint(path)
            return cls(content["model"], config or config_of(content, "base", source=str(path)))

    return HubFolder


class Pretrained(nn.Module):
    """The base of a network that is built from `config` alone. Its methods need the package huggingface_hub."""

    config: Any

    @classmethod
    def from_pretrained(cls: type[Network], path_or_repo: str | os.PathLike[str], **download: Any) -> Network:
        """Load a network, in evaluation mode.

        Args:
            path_or_repo: a folder that `save_pretrained` wrote, or the name of a repository, "user/name".
            download: options for a repository: revision, token, cache_dir, force_download, local_files_only.
        Raises:
            OSError: there is no such repository or file, or no connection.
            ValueError: the name is neither a folder nor a repository; the files are damaged or belong to another
                network; or the package is not installed.
        """
        try:
            stored = hub_folder().from_pretrained(path_or_repo, **download)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path_or_repo}: config.json is not JSON ({error})") from error
        model = cls(stored.config)
        load_weights(model, stored.weights, source=str(path_or_repo))
        return model.eval()

    def save_pretrained(self, folder: str | os.PathLike[str], **options: Any) -> str | None:
        """Write model.safetensors, config.json and a model card into `folder`.

        Args:
            folder: the folder to write.
            options: options of huggingface_hub: push_to_hub, repo_id and model_card_kwargs. The last one is a dict with
                `results` (Markdown) and `code_url` for the card.
        Raises:
            OSError: the files cannot be written.
            ValueError: the package is not installed.
        """
        return hub_folder()(self.state_dict(), self.config).save_pretrained(folder, **options)

    def push_to_hub(self, repo: str, **options: Any) -> str:
        """Upload the files of `save_pretrained` to a repository, which is created if needed. Return the commit's URL.

        Args:
            repo: name of the repository, "user/name".
            options: options of huggingface_hub: commit_message, private, token, branch, create_pr.
        Raises:
            OSError: the upload is refused, or there is no connection.
            ValueError: the name is not that of a repository, or the package is not installed.
        """
        return hub_folder()(self.state_dict(), self.config).push_to_hub(repo, **options)
