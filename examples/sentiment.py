"""Why does a sentence praise? A small transformer, explained in words.

A BERT of two layers is trained on the demonstration's sentences, in half a minute, and saved as
transformers save theirs, to the folder ``sentiment``. Run it with ``python examples/sentiment.py``.
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from pyxai.adapters import TextClassifier
from pyxai.demo.sentences import labelled_sentences, words_of

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

sentences = labelled_sentences()
known = sorted({word for each in sentences for word in words_of(each.text)})

# A tokenizer whose tokens are the words of the sentences.
made = Tokenizer(
    models.WordLevel({word: at for at, word in enumerate((*SPECIAL, *known))}, unk_token="[UNK]")
)
made.normalizer = normalizers.Lowercase()
made.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(",", "isolated")]
)
made.post_processor = processors.TemplateProcessing(
    "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
)
names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **dict(zip(names, SPECIAL, strict=True)))

torch.manual_seed(0)
model = BertForSequenceClassification(
    BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.05,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label={0: "complaint", 1: "praise"},
        label2id={"complaint": 0, "praise": 1},
    )
)
batch = tokenizer([each.text for each in sentences], return_tensors="pt", padding=True)
ids, mask = batch["input_ids"], batch["attention_mask"]
labels = torch.tensor([each.label for each in sentences])
held_out = torch.arange(len(labels)) % 10 >= 8  # a pair of sentences out of five
train = (~held_out).nonzero()[:, 0]
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
for _ in range(30):
    for rows in train[torch.randperm(len(train))].split(32):
        hidden = (torch.rand(ids[rows].shape) < 0.15) & (ids[rows] > 4)  # it shall know the mask
        found = model(torch.where(hidden, 4, ids[rows]), mask[rows], labels=labels[rows])
        optimiser.zero_grad()
        found.loss.backward()
        optimiser.step()
model.eval()
with torch.no_grad():
    right = (model(ids, mask).logits.argmax(1) == labels)[held_out].float().mean()
print(f"right: {right:.3f} of {int(held_out.sum())} sentences\n")
model.save_pretrained("sentiment")
tokenizer.save_pretrained("sentiment")

classifier = TextClassifier(model, tokenizer)
text = "the plot is thin, but the acting saves it"
for method in ("integrated_gradients", "shapley_values", "lrp"):
    result = classifier.explain(text, method=method, target="praise")
    print(f"{method}: {', '.join(f'{word} {value:+.2f}' for word, value in result.top(4))}")
