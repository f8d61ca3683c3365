"""Store a network as huggingface_hub does. No other module imports this optional package."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

import utils
from common.extras import require

from .config import Config, config_of
from .passes import AUTO
from .weights import checkpoint_of

WEIGHTS, CONFIG = "model.safetensors", "config.json"  # the hub's names of these files
CARD = Path(__file__).with_name("model_card.md")  # template of a model card


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
