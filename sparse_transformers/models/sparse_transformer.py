"""A transformer with an attention pattern in every layer: decoder or encoder, from one block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, overload

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparse_transformers.models.checks import check_input_ids, check_token, check_whole
from sparse_transformers.models.embeddings import FirstPosition, TokenEmbedding
from sparse_transformers.models.evaluation_mode import evaluation_mode
from sparse_transformers.models.experts.layer import MoELayer
from sparse_transformers.models.generation import (
    TokenSampler,
    cut_after,
    make_generator,
    pad_prompts,
)
from sparse_transformers.models.initialization import initialise_like_gpt2, seeded_on_cpu
from sparse_transformers.models.key_value_cache import KeyValueCache
from sparse_transformers.models.padding import Padding, find_padding
from sparse_transformers.models.pattern_base import AttentionPattern
from sparse_transformers.models.pretrained import load_weights, read_config, save_folder
from sparse_transformers.models.rotary import Rotation, rotation
from sparse_transformers.models.selectors import make_selector
from sparse_transformers.models.self_attention import SelfAttention
from sparse_transformers.models.transformer_block import SparseTransformerBlock
from sparse_transformers.models.transformer_config import SparseTransformerConfig
from sparse_transformers.models.truthfulness_head import TruthfulnessHead, TruthfulnessOutput


class SparseTransformer(nn.Module):
    """A transformer that predicts tokens or classifies the whole text.

    >>> import sparse_transformers as st
    >>> import torch
    >>> config = st.SparseTransformerConfig(attention="strided", attention_options={"stride": 8})
    >>> model = st.SparseTransformer(config)
    >>> input_ids = torch.tensor([list(b"Sparse attention")])
    >>> model(input_ids).shape
    torch.Size([1, 16, 256])
    >>> model.generate(input_ids, max_new_tokens=20, top_p=0.9, seed=0).shape
    torch.Size([1, 36])

    Args:
        config: The shape of the model.
        seed: Seed of the initial weights. They are made on the CPU and are the same on every
            machine; the global random state does not change.
    """

    def __init__(self, config: SparseTransformerConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        with seeded_on_cpu(seed):
            self.embedding = TokenEmbedding(
                config.vocab_size,
                config.d_model,
                positions=config.positions,
                max_seq_len=config.max_seq_len,
                dropout=config.dropout,
                token_dropout=config.token_dropout,
            )
            self.blocks = nn.ModuleList(
                SparseTransformerBlock(
                    config.d_model,
                    config.n_heads,
                    pattern=pattern,
                    n_kv_heads=config.n_kv_heads,
                    d_ff=config.d_ff if experts is None else None,
                    feed_forward=experts,
                    causal=config.causal,
                    dropout=config.dropout,
                    norm_eps=config.norm_eps,
                    backend=config.backend,
                    token_shift=config.token_shift,
                    selector=None if config.selector is None else make_selector(config.selector),
                )
                for pattern, experts in zip(
                    config.layer_patterns(), config.make_layer_experts(), strict=True
                )
            )
            self.final_norm = nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=False)
            self.lm_head: nn.Linear | None = None
            self.truthfulness_head: TruthfulnessHead | None = None
            if config.num_classes is None and not config.tie_embeddings:
                self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
            initialise_like_gpt2(self, config.n_layers)
            # The head keeps PyTorch's own initialisation: weights of 0.02 through its narrow layers
            # would leave next to no signal to learn from.
            if config.num_classes is not None:
                self.truthfulness_head = TruthfulnessHead(
                    config.d_model, config.num_classes, config.dropout, linear=config.linear_head
                )

    def forward(
        self,
        input_ids: Integer[Tensor, "batch seq"],
        attention_mask: Bool[Tensor, "batch seq_or_all"] | None = None,
        *,
        cache: KeyValueCache | None = None,
        pattern: AttentionPattern | None = None,
    ) -> Float[Tensor, "batch seq vocab"] | TruthfulnessOutput:
        """Logits of the next token at every position; with `num_classes`, the classes of the texts.

        Args:
            input_ids: Token ids; with a cache, those that follow the tokens in the cache.
            attention_mask: True for real tokens, False for padding, which may stand anywhere. Each
                sequence then gives what its real tokens give alone; results at padding mean
                nothing. With a cache, the mask may cover all tokens so far or the new ones. All
                are real by default.
            cache: From `new_cache`. It grows by the new tokens, and works without gradients only.
                Padding may come with the first tokens only.
            pattern: A rule for this call: a query sees the keys that both it and the layer's own
                pattern allow, such as `Documents(ids)` for packed texts; `PerSequence` gives each
                sequence its own. Positions count the real tokens. With rotary or no positions, and
                patterns that depend on the distance only, packed texts give what they give alone.

        Raises:
            ValueError: Ids that are not whole numbers below `vocab_size`, a mask of another shape,
                or a cache where there can be none.
        """
        hidden = self.hidden_states(input_ids, attention_mask, cache=cache, pattern=pattern)
        if self.truthfulness_head is not None:
            return self.truthfulness_head(hidden, attention_mask)
        return self._logits(hidden)

    def hidden_states(
        self,
        input_ids: Integer[Tensor, "batch seq"],
        attention_mask: Bool[Tensor, "batch seq_or_all"] | None = None,
        *,
        cache: KeyValueCache | None = None,
        pattern: AttentionPattern | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """The normalised output of the last block. Arguments as in `forward`."""
        check_input_ids(input_ids, self.config.vocab_size)
        if cache is not None:
            attention_mask = self._check_cache(input_ids, attention_mask, cache, pattern)
        padding = find_padding(input_ids, attention_mask)
        first_position: FirstPosition = 0
        if cache is not None:
            cache.expect(len(input_ids), padding)
            first_position = cache.next_position
        hidden, context = self._first_states(input_ids, padding, first_position, pattern)
        for layer, block in enumerate(self.blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, **context, use_reentrant=False)
            else:
                layer_cache = None if cache is None else cache.layers[layer]
                hidden = block(hidden, **context, cache=layer_cache)
        if cache is not None:
            cache.advance(len(input_ids), input_ids.shape[1], padding)
        if padding is not None:
            hidden = padding.restore(hidden)
        return self.final_norm(hidden)

    @overload
    def generate(
        self, input_ids: Tensor, max_new_tokens: int, **options: Any
    ) -> Int[Tensor, "batch longer"]: ...

    @overload
    def generate(
        self, input_ids: Sequence[Tensor], max_new_tokens: int, **options: Any
    ) -> list[Int[Tensor, "longer"]]: ...

    def generate(  # type: ignore[misc]  # the options have names here
        self,
        input_ids: Integer[Tensor, "batch seq"] | Sequence[Integer[Tensor, "_"]],
        max_new_tokens: int,
        *,
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
        eos: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, "batch longer"] | list[Int[Tensor, "_"]]:
        """Continues each prompt by `max_new_tokens` tokens, with one forward pass for each token.

        Dropout is off. The global random state is neither used nor changed: tokens are drawn with
        `seed` or `generator`, and differ from call to call if neither is given.

        Args:
            input_ids: Prompts (batch, seq), or a list of prompts (seq,) of any lengths; at least
                one token each.
            max_new_tokens: How many tokens to add.
            attention_mask: True for the real tokens of the prompts, False for padding, which may
                stand anywhere. All are real by default.
            eos: The token id that ends a text: a prompt that has got it is not continued.
            temperature: Divides the logits, above 0; lower values favour the likeliest tokens.
            top_k: Draw from this many of the likeliest tokens.
            top_p: Draw from the likeliest tokens whose probabilities add up to this, at most 1.
            greedy: Take the likeliest token instead of drawing one.
            seed: Seed of the draws.
            generator: Generator of the draws, in place of a new one with `seed`.

        Returns:
            The prompts as they came, padding included, with their continuations behind them; after
            its `eos` a text is filled up with it. For a list of prompts, a list of texts, each up
            to its `eos`.

        Raises:
            ValueError: An option is out of range, the model is no causal language model, or its
                learned positions end before the text does.
        """
        if not isinstance(input_ids, Tensor):
            prompts, attention_mask = pad_prompts(input_ids)
            texts = self.generate(
                prompts,
                max_new_tokens,
                attention_mask=attention_mask,
                eos=eos,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                greedy=greedy,
                seed=seed,
                generator=generator,
            )
            continuations = [cut_after(text[prompts.shape[1] :], eos) for text in texts]
            return list(map(torch.cat, zip(input_ids, continuations, strict=True)))
        sampler = TokenSampler(temperature, top_k, top_p, greedy)
        generator = make_generator(seed, generator)
        check_whole(0, max_new_tokens=max_new_tokens)
        if not self.config.causal or self.config.num_classes is not None:
            raise ValueError(
                "generate needs a causal language model, got "
                f"causal={self.config.causal}, num_classes={self.config.num_classes}"
            )
        padding = self._check_padding(input_ids, attention_mask)
        longest = input_ids.shape[1] if padding is None else int(padding.lengths.max())
        self.embedding.check_length(longest + max_new_tokens)
        if eos is not None:
            check_token(eos, self.config.vocab_size, "eos")

        cache = self.new_cache()
        text = unseen = input_ids.long()
        mask = attention_mask
        last = -1 if padding is None else padding.last_places()
        rows = torch.arange(len(text), device=text.device)
        ended = torch.zeros_like(rows, dtype=torch.bool)
        with _inference(self):
            for _ in range(max_new_tokens):
                hidden = self.hidden_states(unseen, mask, cache=cache)
                token = sampler.choose(self._logits(hidden[rows, last]), generator)
                if eos is not None:
                    token = token.masked_fill(ended, eos)
                    ended = ended | (token == eos)
                unseen, mask, last = token[:, None], None, -1
                text = torch.cat([text, unseen], dim=1)
                if eos is not None and bool(ended.all()):
                    break
        n_missing = input_ids.shape[1] + max_new_tokens - text.shape[1]
        return text if eos is None else F.pad(text, (0, n_missing), value=eos)

    def new_cache(self) -> KeyValueCache:
        """An empty cache for `forward`. Layers with a window keep no more than their window.

        Raises:
            ValueError: The model is not causal, so that earlier states change with later tokens.
        """
        if not self.config.causal:
            raise ValueError("a cache needs a causal model, got causal=False")
        return KeyValueCache([block.attention.pattern for block in self._stack()])

    def get_attention_weights(
        self,
        input_ids: Integer[Tensor, "batch seq"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
    ) -> list[Float[Tensor, "batch heads queries keys"]]:
        """The attention weights of every layer, without dropout.

        They come from the reference path, which makes all scores: for reading, not for speed.
        """
        with _inference(self):
            padding = self._check_padding(input_ids, attention_mask)
            layers = [
                attention.attention_weights(hidden, **context)
                for attention, hidden, context in self._attention_inputs(input_ids, padding)
            ]
        return layers if padding is None else list(map(padding.restore_pairs, layers))

    def get_selected_tokens(
        self,
        input_ids: Integer[Tensor, "batch seq"],
        attention_mask: Bool[Tensor, "batch seq"] | None = None,
    ) -> Bool[Tensor, "batch layers heads queries keys"]:
        """Which keys each query may attend to: pattern, causality, padding and selector together.

        The weights of `get_attention_weights` are zero wherever this is False. Like them it takes
        memory for all pairs.
        """
        with _inference(self):
            padding = self._check_padding(input_ids, attention_mask)
            layers = [
                attention.visible_keys(hidden, **context)
                for attention, hidden, context in self._attention_inputs(input_ids, padding)
            ]
        if padding is not None:
            layers = list(map(padding.restore_pairs, layers))
        return torch.stack(layers, dim=1)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into `folder`, which is made if need be.

        Raises:
            OSError: The folder cannot be made or written.
        """
        save_folder(folder, self.config.to_dict(), self)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "SparseTransformer":
        """The model that `save_pretrained` wrote, on the CPU and in evaluation mode.

        Raises:
            OSError: A file is missing.
            ValueError: A file is damaged, or the weights are not those of the configuration; the
                message names the missing, unexpected and reshaped tensors.
        """
        values = read_config(folder)
        try:
            model = cls(SparseTransformerConfig.from_dict(values))
        except ValueError as error:
            raise ValueError(f"{folder} holds no model that can be made: {error}") from error
        load_weights(folder, model)
        return model.eval()

    def set_gradient_checkpointing(self, enabled: bool) -> None:
        """Whether the backward pass computes each block anew instead of storing what is inside.

        The gradients are the same. A step takes one more forward pass, and less memory.
        """
        self.gradient_checkpointing = enabled

    def num_parameters(self) -> int:
        """The number of weights. Tied embeddings count once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def num_active_parameters(self) -> int:
        """The number of weights used for one token: without the experts that do not process it."""
        parts = [block.feed_forward for block in self._stack()]
        idle = [
            sum(parameter.numel() for parameter in part.parameters()) - part.num_active_parameters()
            for part in parts
            if isinstance(part, MoELayer)
        ]
        return self.num_parameters() - sum(idle)

    def _stack(self) -> Iterator[SparseTransformerBlock]:
        return cast("Iterator[SparseTransformerBlock]", iter(self.blocks))

    def _check_padding(self, input_ids: Tensor, attention_mask: Tensor | None) -> Padding | None:
        check_input_ids(input_ids, self.config.vocab_size)
        return find_padding(input_ids, attention_mask)

    def _attention_inputs(
        self, input_ids: Tensor, padding: Padding | None
    ) -> Iterator[tuple[SelfAttention, Tensor, dict[str, Any]]]:
        """The attention of each layer, the states that it reads, and its other arguments."""
        hidden, context = self._first_states(input_ids, padding)
        for_attention = {name: context[name] for name in ("rotation", "key_lengths", "pattern")}
        for block in self._stack():
            yield block.attention, block.attention_norm(hidden), for_attention
            hidden = block(hidden, **context)

    def _first_states(
        self,
        input_ids: Tensor,
        padding: Padding | None,
        first_position: FirstPosition = 0,
        pattern: AttentionPattern | None = None,
    ) -> tuple[Float[Tensor, "batch seq d_model"], dict[str, Any]]:
        """The states that enter the first block, real tokens first, and the blocks' arguments."""
        if padding is not None:
            input_ids = padding.to_front(input_ids)
        hidden = self.embedding(input_ids.long(), first_position)
        # A causal query stands before the padding, so hiding the padding would only cost time.
        key_lengths = None if padding is None or self.config.causal else padding.lengths
        return hidden, {
            "rotation": self._rotation(hidden, first_position),
            "key_lengths": key_lengths,
            "attention_mask": None if padding is None else padding.is_token,
            "input_ids": input_ids,
            "pattern": pattern,
        }

    def _logits(self, hidden: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        head = self.embedding.token if self.lm_head is None else self.lm_head
        return F.linear(hidden, head.weight)

    def _rotation(self, hidden: Tensor, first_position: FirstPosition) -> Rotation | None:
        """The angles of these tokens, made once for all layers; None without rotary positions."""
        if self.config.positions != "rotary":
            return None
        return rotation(
            self.config.rotary_dims,
            hidden.shape[1],
            first_position=first_position,
            like=hidden,
        )

    def _check_cache(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        cache: KeyValueCache,
        pattern: AttentionPattern | None,
    ) -> Tensor | None:
        """Refuses what a cache cannot do; returns the part of the mask for the new tokens."""
        if pattern is not None:
            raise ValueError(f"a cache works without a pattern for the call, got {pattern!r}")
        if torch.is_grad_enabled():
            raise ValueError("a cache works without gradients only: use it under torch.no_grad()")
        if self.config.num_classes is not None:
            raise ValueError(
                f"a cache is for predicting tokens, got num_classes={self.config.num_classes}"
            )
        seq_len = input_ids.shape[1]
        if attention_mask is None or attention_mask.shape[-1] != cache.n_tokens + seq_len:
            return attention_mask
        return attention_mask[..., -seq_len:]


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    """No gradients and no dropout; afterwards each module is in the mode it was in."""
    with evaluation_mode(model), torch.no_grad():
        yield
