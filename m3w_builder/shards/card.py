"""What travels with the shards: the dataset card (README.md) and its ML Croissant description.

Both depend on what the manifest says alone, so that a rerun writes the same bytes.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from m3w_builder.samples import Record
from m3w_builder.shards.tally import Row, totals

TASKS = {
    "interleaved": "image-text-to-text",
    "image_text": "image-to-text",
    "video_text": "video-text-to-text",
}
NAMES = {
    "interleaved": "interleaved pages",
    "image_text": "image-text pairs",
    "video_text": "video-text pairs",
}
LICENCE = """\
Texts and media belong to the publishers of the pages they were taken from; this dataset grants
no right to them. Every sample names its page (`url`) and every image and video its address
(`info[i].url`), so that rights can be looked up and single items removed. Check what the law and
the publishers' terms allow before you use or share it."""
LOADING = """\
from glob import glob

import webdataset as wds

shards = sorted(glob("{kind}-*.tar"))
for sample in wds.WebDataset(shards, shardshuffle=False).decode("pil"):
    page = sample["json"]
    nodes = [
        text if text is not None
        else sample[image] if image is not None
        else [sample[frame] for frame in frames]
        for text, image, frames in zip(page["texts"], page["images"], page["videos"])
    ]  # str, PIL.Image and lists of PIL.Image (one per second) in the order of the page
    print(page["url"], nodes)
    break"""


BODY = """\
# {title}

Web pages as multimodal training data: {listed}.
Built by M3W Builder {version}, configuration `{config}`.

## What is in it

{table}

Languages: {languages}.

## How to load it

Plain tar files that `webdataset` reads as they are; the same lines rebuild all three kinds:

```python
{loading}
```

Stock `webdataset` reads a truncated shard without an error: `m3w check .` compares every file with
`manifest.jsonl` (sizes, sha256) and decodes every image.

## Files

- `<kind>-NNNNNN.tar`: per sample `<id>.json`, its media in order, for pairs `<id>.txt`.
- `<kind>-NNNNNN.parquet`: offset, length and sha256 of every member, for random access.
- `rejects/*.parquet`: everything that was dropped: id, url, stage, reason, detail.
- `waterfall.json`: counts from pages to samples. `report.html`: the same to look at.
- `manifest.jsonl`: one row per shard, written last. `index.json`, `croissant.json`: for loaders.

## Opt-outs

{optouts}
{removed}
## Licence

{licence}

{licences}
"""
MOST_LICENCES = 30  # rows of the card's table


def card(
    rows: Iterable[Row],
    title: str,
    config: str,
    version: str,
    optouts: Mapping[str, Any],
    waterfall: Mapping[str, Any] | None = None,
) -> str:
    """Returns the dataset card: YAML front matter as on the Hugging Face Hub, then Markdown."""
    rows = list(rows)
    found = totals(rows)
    body = BODY.format(
        title=title,
        listed=_listed(found),
        version=version,
        config=config,
        table="\n".join(_table(found)),
        languages=_languages(rows),
        loading=LOADING.format(kind=next(iter(found), "interleaved")),
        licence=LICENCE,
        optouts=_optouts(optouts),
        removed=_removed(waterfall),
        licences="\n".join(_licences(rows)),
    )
    documents = sum(total["documents"] for total in found.values())
    return "\n".join([*_front_matter(title, rows, documents), body])


def _optouts(optouts: Mapping[str, Any]) -> str:
    """Returns what was found and, first of all, what was not respected."""
    ignored = ", ".join(f"`{signal}`" for signal in optouts["ignored"])
    found = ", ".join(f"`{signal}` {count:,}" for signal, count in optouts["found"].items())
    warning = f"**These signals were ignored by the user's choice: {ignored}.**" if ignored else ""
    respect = "All others were" if ignored else "Every reservation of rights that was found was"
    counted = f"Found, in pages and media answers: {found or 'none'}."
    rest = f"{respect} respected: what it covers is not in the shards, and stands in `rejects/`."
    return "\n".join(filter(None, (warning, rest, counted)))


def _removed(waterfall: Mapping[str, Any] | None) -> str:
    """Returns a paragraph on what was taken out after the build, "" for nothing."""
    found: Counter[str] = Counter()
    for section in (waterfall or {}).get("sections", ()):
        for drop in section["drops"]:
            if drop["stage"] == "remove":
                found[section["section"]] += drop["count"]
    if not found:
        return ""
    counts = ", ".join(f"{count:,} {what}" for what, count in found.items())
    return f"\nTaken out since it was built: {counts}; `rejects/remove-*.parquet` says why.\n"


def _licences(rows: Iterable[Row]) -> list[str]:
    """Returns a table of what the pages say of themselves, the most frequent licences first."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["licences"])
    unstated = total.pop("", 0)
    found = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    shown = [(f"<{name}>" if "://" in name else name, n) for name, n in found[:MOST_LICENCES]]
    if rest := found[MOST_LICENCES:]:
        shown.append((f"{len(rest):,} others", sum(count for _, count in rest)))
    lines = [f"| {name} | {count:,} |" for name, count in (*shown, ("none stated", unstated))]
    said = "What the pages state as their licence (field `licence`; it is their word, not checked):"
    return [said, "", "| licence | samples |", "| --- | ---: |", *lines]


def _front_matter(title: str, rows: list[Row], documents: int) -> list[str]:
    languages = sorted(_language_counts(rows))
    kinds = [kind for kind in TASKS if any(row["kind"] == kind for row in rows)]
    return [
        "---",
        f"pretty_name: {json.dumps(title, ensure_ascii=False)}",
        "license: other",
        "license_name: rights-stay-with-the-publishers",
        *(["language:", *(f"- {json.dumps(code)}" for code in languages)] if languages else []),
        *(["task_categories:", *(f"- {TASKS[kind]}" for kind in kinds)] if kinds else []),
        "size_categories:",
        f"- {_size_category(documents)}",
        "tags:",
        *(f"- {tag}" for tag in ("webdataset", "multimodal", "interleaved", "m3w")),
        "---",
        "",
    ]


def _size_category(documents: int) -> str:
    """Returns the size class of the Hugging Face Hub."""
    steps = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    for power, step in enumerate(steps, 3):
        if documents < 10**power:
            return f"n<{step}" if power == 3 else f"{steps[power - 4]}<n<{step}"
    return "n>1T"


def _language_counts(rows: Iterable[Row]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row["languages"])
    total.pop("", None)
    return total


def _languages(rows: list[Row]) -> str:
    found = _language_counts(rows).most_common()
    return ", ".join(f"{code} ({count:,})" for code, count in found) or "not determined"


def _listed(found: dict[str, Counter[str]]) -> str:
    parts = [f"{total['documents']:,} {NAMES[kind]}" for kind, total in found.items()]
    return ", ".join(parts) or "nothing passed the rules"


def _table(found: dict[str, Counter[str]]) -> list[str]:
    columns = ("shards", "documents", "words", "images", "videos", "frames", "bytes")
    lines = [f"| kind | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
    for kind, total in found.items():
        lines.append(f"| {kind} | " + " | ".join(f"{total[name]:,}" for name in columns) + " |")
    return lines


CONTEXT: Record = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(rows: Iterable[Row], title: str) -> str:
    """Returns a Croissant 1.0 description: a file per shard, a record set per kind."""
    rows = list(rows)
    kinds = list(totals(rows))
    value = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": title,
        "description": f"Web pages as multimodal training data: {_listed(totals(rows))}.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": LICENCE.replace("\n", " "),
        "distribution": [*map(_file, rows), *(_json_files(kind, rows) for kind in kinds)],
        "recordSet": [_records(kind) for kind in kinds],
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _file(row: Row) -> Record:
    return {
        "@type": "cr:FileObject",
        "@id": row["path"],
        "name": row["path"],
        "contentUrl": row["path"],
        "contentSize": f"{row['bytes']} B",
        "encodingFormat": "application/x-tar",
        "sha256": row["sha256"],
    }


def _json_files(kind: str, rows: list[Row]) -> Record:
    return {
        "@type": "cr:FileSet",
        "@id": f"{kind}-json",
        "name": f"{kind}-json",
        "containedIn": [{"@id": row["path"]} for row in rows if row["kind"] == kind],
        "encodingFormat": "application/json",
        "includes": "*.json",
    }


def _records(kind: str) -> Record:
    return {
        "@type": "cr:RecordSet",
        "@id": kind,
        "name": kind,
        "field": [_field(kind, "key", "filename"), _field(kind, "json", "content")],
    }


def _field(kind: str, name: str, part: str) -> Record:
    # Whole members: the reference reader cannot apply a jsonPath to files inside tars.
    source = {"fileSet": {"@id": f"{kind}-json"}, "extract": {"fileProperty": part}}
    return {
        "@type": "cr:Field",
        "@id": f"{kind}/{name}",
        "name": name,
        "dataType": "sc:Text",
        "source": source,
    }
