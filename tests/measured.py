"""Documents and media as `extract` and `fetch` leave them: what `select` decides about."""

import random
from dataclasses import replace
from hashlib import sha256

from m3w_builder import privacy, safety
from m3w_builder.config import SafetyConfig
from m3w_builder.dedup import paragraph_key
from m3w_builder.near.minhash import signature
from m3w_builder.rules import measure_texts, unigrams
from m3w_builder.text import word_list
from m3w_builder.types import Document, Image, Media, Text, document_id

WORDS = word_list("""
    harbour town hills boats morning tide people bronze age walls stone water visitors ferry summer walk quay
    caught small kitchens river bridge market square church tower bell night winter snow road field
""")
SAFETY = SafetyConfig()


def prose(seed, words=120):
    """Sentences that pass the rules, different for each seed."""
    draw = random.Random(seed)
    return " ".join(
        f"The {draw.choice(WORDS)} of the {draw.choice(WORDS)} and {draw.choice(WORDS)} that have "
        f"{draw.choice(WORDS)} with {draw.choice(WORDS)}."
        for _ in range(words // 12)
    )


def page(url, *texts, images=("a",), **fields):
    """An interleaved document: texts (or nodes), then images by names that `photo` knows."""
    nodes = [Text(text) if isinstance(text, str) else text for text in texts]
    nodes += [Image(f"https://cdn.example/{name}.jpg") for name in images]
    found = [node for node in nodes if isinstance(node, Text)]
    counts, scores = measure_texts(found, "en")
    known = dict(zip(found, map(_known, found, counts), strict=True))
    text = "\n".join(node.text for node in found)
    document = Document(
        document_id("interleaved", url),
        "interleaved",
        url,
        tuple(known.get(node, node) for node in nodes),
        language="en",
        crawled="2024-01-01T00:00:00Z",
        record=f"<{url}>",
        scores={
            **scores,
            **safety.document_scores(list(known.values()), "en", SAFETY),
            "language_score": 0.99,
            "characters": float(len(text)),
        },
        signature=signature(text),
    )
    return replace(document, **fields)


def pair(url, name, text, **fields):
    """An image-text pair."""
    media = f"https://cdn.example/{name}.jpg"
    node = _known(Text(text, "caption"), {})
    document = Document(
        document_id("image_text", url, media),
        "image_text",
        url,
        (Image(media), node),
        record=f"<{url}>",
        language="en",
        scores={
            **safety.document_scores([node], "en", SAFETY),
            "unigrams": float(unigrams(text)),
            "language_score": 0.99,
        },
    )
    return replace(document, **fields)


def _known(text, counts):
    scores = {
        **counts,
        **privacy.count(text.text),
        **safety.text_scores(text.text, "en", SAFETY),
    }
    return replace(text, key=paragraph_key(text.text), scores=scores)


def photo(name, flips=0, **fields):
    """A media row; `flips` bits of its hash differ from those of the name without digits."""
    looks = int(sha256(name.rstrip("0123456789").encode()).hexdigest(), 16)
    for bit in random.Random(name).sample(range(256), flips):
        looks ^= 1 << bit
    found = Media(
        f"https://cdn.example/{name}.jpg",
        "image",
        sha256=sha256(name.encode()).hexdigest(),
        source_sha256=sha256(name.encode()).hexdigest(),
        format="jpg",
        width=640,
        height=480,
        phash_firm=f"{looks:064x}",
        scores={"flatness": 50.0, "pdq_quality": 100.0},
        pack="p.tar",
        length=1000,
    )
    return replace(found, **fields)
