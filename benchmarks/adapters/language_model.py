"""What one batched run of a language model's explanation saves over loops, on equal results.

``python benchmarks/adapters/language_model.py`` takes a random model of GPT-2's shape (4 layers of
width 128, 5000 words) and feature ablation of each of 64 tokens of a prompt, for 32 tokens of a
continuation that is given. `LanguageModel` is compared with

- a loop of one pass for each absent token and each token of the continuation, as captum's
  `LLMAttribution` makes by default without its cache (ours here has the logits of the last place
  only, as generating has),
- a loop of one pass for each absent token, which scores all tokens of the continuation at once,
- `captum.attr.LLMAttribution` itself in both of these ways,
- the bare model on the same rows in one pass, the floor.

Then a template of which the first 128 tokens are fixed and the next 32 are not, with 16 tokens of
continuation: with keys and values of the start computed once, and without.

Results must agree. Candidates take turns in one process, and the least seconds of each count, by
the clock and of the processor. It prints a line for each case and writes them to
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.adapters import LanguageModel

N_WORDS, PROMPT, WRITTEN = 5000, 64, 32
BASELINE = 7


def words(first: int, count: int) -> str:
    """Return a text of so many different words."""
    return " ".join(f"w{first + 3 * number}" for number in range(count))


def tokenizer() -> Any:
    """Return one token for each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"[UNK]": 0, **{f"w{number}": number for number in range(1, N_WORDS)}}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")


def gpt2() -> nn.Module:
    """Return a random model whose scores depend on all that it reads."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_layer": 4, "n_embd": 128, "n_head": 4, "n_positions": 256}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=N_WORDS, **sizes)).eval()
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data.normal_(0, 0.1)
    return model


class WithoutCache(nn.Module):
    """The model for callers that cannot give it keys and values."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        logits_to_keep: int = 0,
    ) -> Any:
        """Return what the model does."""
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            logits_to_keep=logits_to_keep,
            use_cache=False,
        )


def absent(read: Tensor) -> Tensor:
    """Return the prompt, and the prompt without each of its tokens, [1 + tokens, tokens]."""
    rows = read.repeat(len(read) + 1, 1)
    rows[1:].fill_diagonal_(BASELINE)
    return rows


def drops(scores: Tensor) -> Tensor:
    """Return attributions [tokens of the continuation, tokens of the prompt]."""
    return (scores[:1] - scores[1:]).T


@torch.no_grad()
def token_loop(model: nn.Module, read: Tensor, written: Tensor) -> Tensor:
    """Make a pass for each absent token and each token of the continuation."""
    scores = torch.zeros(len(read) + 1, len(written))
    for number, row in enumerate(absent(read)):
        for at, token in enumerate(written):
            ids = torch.cat([row, written[:at]])[None]
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]
            scores[number, at] = logits.log_softmax(0)[token]
    return drops(scores)


@torch.no_grad()
def unit_loop(model: nn.Module, read: Tensor, written: Tensor) -> Tensor:
    """Make a pass for each absent token."""
    n_written = len(written)
    scores = torch.zeros(len(read) + 1, n_written)
    for number, row in enumerate(absent(read)):
        ids = torch.cat([row, written[:-1]])[None]
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=n_written).logits[0]
        scores[number] = logits.log_softmax(1)[torch.arange(n_written), written]
    return drops(scores)


@torch.no_grad()
def floor(model: nn.Module, read: Tensor, written: Tensor) -> Tensor:
    """Make one pass over all rows."""
    rows = absent(read)
    ids = torch.cat([rows, written[:-1].expand(len(rows), -1)], 1)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(written)).logits
    index = written.expand(len(rows), -1)[..., None]
    return drops((logits.gather(2, index) - logits.logsumexp(2, keepdim=True))[..., 0])


def captum_run(model: nn.Module, words_of: Any, text: str, written: Tensor, **way: Any) -> Tensor:
    """Let captum do it."""
    from captum.attr import FeatureAblation, LLMAttribution, TextTokenInput

    inputs = TextTokenInput(text, words_of, baselines=BASELINE)
    found = LLMAttribution(FeatureAblation(model), words_of).attribute(
        inputs, target=written, **way
    )
    assert found.token_attr is not None
    return found.token_attr


def compare(case: str, candidates: dict[str, Callable[[], Any]], slow: int) -> dict[str, Any]:
    """Let candidates take turns; return what differs, least seconds, and ratios to ours.

    Seconds of the processor are those that other work on the machine moves least.
    """
    rounds = {name: slow if "token" in name else 5 * slow for name in candidates}
    found: dict[str, Tensor] = {}
    wall: dict[str, list[float]] = {name: [] for name in candidates}
    processor: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(max(rounds.values())):
        for name, run in candidates.items():
            if turn >= rounds[name]:
                continue
            begin, spent = time.perf_counter(), time.process_time()
            found[name] = run()
            wall[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - spent)
        miss = {name: float((each - found["ours"]).abs().max()) for name, each in found.items()}
        assert max(miss.values()) < 1e-3, miss
    row: dict[str, Any] = {"case": case, "largest difference": miss}
    for clock, times in (("seconds", wall), ("processor seconds", processor)):
        least = {name: min(taken) for name, taken in times.items()}
        row[clock] = least
        row[f"{clock}, times ours"] = {
            name: round(value / least["ours"], 3) for name, value in least.items()
        }
    return row


def measure(slow: int) -> list[dict[str, Any]]:
    """Return a row for each case."""
    model, words_of = gpt2(), tokenizer()
    text = words(5, PROMPT)
    read = torch.tensor(words_of(text)["input_ids"])
    written = torch.arange(1000, 1000 + WRITTEN)
    ours = LanguageModel(model, words_of)
    whole = {
        "ours": lambda: ours.explain(text, written, unit="token", baseline=BASELINE).attributions,
        "bare model": lambda: floor(model, read, written),
        "unit loop": lambda: unit_loop(model, read, written),
        "token loop": lambda: token_loop(model, read, written),
        "captum, a pass for each unit": lambda: captum_run(
            model, words_of, text, written, forward_in_tokens=False
        ),
        "captum, a pass for each unit and token": lambda: captum_run(
            model, words_of, text, written, use_cached_outputs=False
        ),
    }
    start, values = words(2000, 128), {"part": words(5, 32)}
    short = written[:16]

    def of_template(adapter: LanguageModel) -> Tensor:
        options = {"unit": "token", "baseline": BASELINE, "values": values}
        return adapter.explain(start + " {part}", short, **options).attributions

    plain = LanguageModel(WithoutCache(model), words_of)
    template = {"ours": lambda: of_template(ours), "without cache": lambda: of_template(plain)}
    return [
        compare(f"{PROMPT} tokens by {WRITTEN}", whole, slow),
        compare("128 fixed tokens, then 32 by 16", template, slow),
    ]


def main() -> None:
    """Measure, print and write."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from _environment import RESULTS, describe, slug

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="turns of the slowest candidates")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    rows = measure(options.repeats)
    for row in rows:
        print(json.dumps(row), flush=True)
    environment = describe()
    name = slug(f"language-model-cpu-{environment['cpu']}")
    path = RESULTS / f"{name}-{str(environment['date'])[:10]}.json"
    path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
