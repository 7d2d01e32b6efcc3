"""Small tokenizers and classifiers of texts, made without any download."""

import torch
from torch import nn

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "film", "was", "surprising", "good", "a", "day", "in", "not", "bad"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *".,!?"]


def small_tokenizer(kind="wordpiece"):
    """Return a fast tokenizer of one of the usual kinds, with some words whole."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    if kind == "wordpiece":
        listed = [*SPECIAL, *WORDS, "##ly", *LETTERS, *(f"##{each}" for each in LETTERS)]
        vocabulary = {piece: number for number, piece in enumerate(listed)}
        made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif kind == "bytes":
        merges = [("o", "o"), ("Ġ", "g"), ("Ġg", "oo"), ("Ġgoo", "d"), ("n", "o"), ("no", "t")]
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        listed = [*SPECIAL, *letters, *(first + second for first, second in merges)]
        vocabulary = {piece: number for number, piece in enumerate(listed)}
        made = Tokenizer(models.BPE(vocabulary, merges))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        pieces = [f"▁{word}" for word in WORDS] + ["ly"]
        scores = {**dict.fromkeys(SPECIAL, 0.0), **dict.fromkeys(pieces, -1.0)}
        made = Tokenizer(
            models.Unigram([*scores.items(), *((each, -5.0) for each in ["▁", *LETTERS])], unk_id=1)
        )
        made.pre_tokenizer = pre_tokenizers.Metaspace()
    edges = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=edges)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=made, **dict(zip(names, SPECIAL, strict=True)))


def classifier(kind="bert", **changes):
    """Return a random classifier of three labels and a tokenizer that fits it."""
    import transformers

    tokenizer = small_tokenizer("bytes" if kind == "roberta" else "wordpiece")
    sizes = {"vocab_size": len(tokenizer) + 3, "num_labels": 3, "pad_token_id": 0}
    names = {"id2label": {0: "bad", 1: "neutral", 2: "good"}}
    if kind == "distilbert":
        sizes |= {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24}
        name = "DistilBert"
    else:
        sizes |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 24}
        name = "Roberta" if kind == "roberta" else "Bert"
    sizes["max_position_embeddings"] = 48
    config = getattr(transformers, f"{name}Config")(**{**sizes, **names, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
        for parameter in model.parameters():  # as they come, all words would be nearly alike
            nn.init.normal_(parameter, std=0.25 if parameter.dim() > 1 else 0.1)
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
    return model, tokenizer
