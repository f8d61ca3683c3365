"""`from_pretrained`, `save_pretrained` and `push_to_hub`, by huggingface_hub once one of them is called."""

import json
import os
from typing import Any, TypeVar

from torch import nn

from .hub import hub_folder
from .weights import load_weights

Network = TypeVar("Network", bound="Pretrained")


class Pretrained(nn.Module):
    """Base of a network that is built from `config` alone. All methods need the optional package huggingface_hub."""

    config: Any

    @classmethod
    def from_pretrained(cls: type[Network], path_or_repo: str | os.PathLike[str], **download: Any) -> Network:
        """The network of a folder that `save_pretrained` wrote, or of a repository ("user/name"), to evaluate.

        Args:
            download: of a repository: revision, token, cache_dir, force_download, local_files_only.
        Raises:
            OSError: no such repository or file, or no connection.
            ValueError: neither a folder nor a repository's name; files that are damaged or of another network; the
                package is not installed.
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
            options: of the mixin: push_to_hub, repo_id, and model_card_kwargs, which fills the card: results (Markdown)
                and code_url.
        Raises:
            OSError: the files cannot be written. ValueError: the package is not installed.
        """
        return hub_folder()(self.state_dict(), self.config).save_pretrained(folder, **options)

    def push_to_hub(self, repo: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes to the repository "user/name", made if needed; returns the commit's URL.

        Args:
            options: of the mixin: commit_message, private, token, branch, create_pr.
        Raises:
            OSError: refused, or no connection. ValueError: no name of a repository; the package is not installed.
        """
        return hub_folder()(self.state_dict(), self.config).push_to_hub(repo, **options)
