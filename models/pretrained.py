"""The methods `from_pretrained`, `save_pretrained` and `push_to_hub`, which use huggingface_hub."""

import json
import os
from typing import Any, TypeVar

from torch import nn

from .hub import hub_folder
from .weights import load_weights

Network = TypeVar("Network", bound="Pretrained")


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
