"""Tiny random language models of two shapes, and a tokenizer trained on a few sentences."""

import functools

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

SENTENCES = [
    "the quick brown fox jumps over the lazy dog.",
    "the cat sat on the mat and looked at the dog.",
    "a dog looked at a fox, and the fox sat on a cat.",
] * 3
SHAPES = ("gpt2", "llama")


@functools.cache
def byte_level_tokenizer(begin=False):
    """GPT-2's kind: bytes, a space belongs to the word behind it; or with a first token."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<end>", "<begin>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(SENTENCES, trainer)
    if begin:
        core.post_processor = processors.TemplateProcessing(
            single="<begin> $A", special_tokens=[("<begin>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<end>", bos_token="<begin>", mask_token="<mask>"
    )


@functools.cache
def word_tokenizer():
    """A word is a token; behind a text stands one that ends it."""
    words = sorted({word for line in SENTENCES for word in line.replace(".", "").split()})
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "[END]", "[PAD]", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="$A [END]", special_tokens=[("[END]", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]", eos_token="[END]"
    )


def language_model(shape, *, n_ids=300, n_positions=64, dtype=torch.float64, **options):
    """Return a model in eval mode whose scores depend on every token that it reads."""
    common = {"vocab_size": n_ids, "bos_token_id": 1, "eos_token_id": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if shape == "gpt2":
            sizes = {"n_layer": 2, "n_embd": 32, "n_head": 4, "n_positions": n_positions}
            model = GPT2LMHeadModel(GPT2Config(**sizes, **common, **options))
        else:
            sizes = {
                "num_hidden_layers": 2,
                "hidden_size": 32,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "intermediate_size": 48,
                "max_position_embeddings": n_positions,
            }
            model = LlamaForCausalLM(LlamaConfig(**sizes, **common, **options))
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.data.normal_(0, 0.2)
    return model.to(dtype).eval()


def naive_log_probabilities(model, ids, written):
    """Score tokens one forward pass each, as if nothing followed: float [tokens]."""
    scores = []
    for at, token in enumerate(written):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*ids, *written[:at]]])).logits
        scores.append(logits[0, -1].log_softmax(-1)[token])
    return torch.stack(scores)
