"""The extract stage's unit of work: a range of an input file to documents, archived resources and rejects.

It measures and never decides: language and text statistics are stored as scores that `select` compares with thresholds.
A page that hangs or crashes the parsers is killed with its process and becomes a reject.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from m3w_builder import privacy, safety
from m3w_builder.config import Config, digest
from m3w_builder.dedup import paragraph_key, text_key
from m3w_builder.errors import InputError, MediaError, PageError
from m3w_builder.fetch import Client
from m3w_builder.histograms import counters, language_counter, text_scores
from m3w_builder.inputs import Unit, folder_of, live_page, local_resource, read_pages, read_urls
from m3w_builder.interleave import ParsedPage, interleave, read_page
from m3w_builder.language import detect, of_pair
from m3w_builder.licences import licence_of
from m3w_builder.near.minhash import signature
from m3w_builder.optouts import page_optouts, product_token, rights_digest, signals
from m3w_builder.pairs import image_pairs, video_pairs
from m3w_builder.rules import measure_texts, unigrams
from m3w_builder.sandbox import Beat, ItemDied, sandbox
from m3w_builder.stages import Counts, unit_name
from m3w_builder.subtitles import SPOKEN
from m3w_builder.tables import TableWriter, document_row, flat_row
from m3w_builder.types import Document, OptOut, Page, Reject, Resource, Text, item_id
from m3w_builder.urls import canonical, shown

MAX_DEATHS = (
    100  # pages of one unit that may hang or crash before the unit is given up as a bug of ours
)


def extract(page: Page, config: Config) -> tuple[list[Document], list[Reject]]:
    """Returns the measured documents of one page, and why it gave none or fewer."""
    try:
        if len(page.html) > config.extract.max_page_bytes:
            raise PageError(
                "page_too_large", f"{len(page.html)} > {config.extract.max_page_bytes} bytes"
            )
        parsed = read_page(page)
        pairs = [*image_pairs(parsed), *video_pairs(parsed)]
    except PageError as error:
        return [], [_reject(page, error.reason, error.detail)]
    optouts = optouts_of(parsed, config)
    licence, declared = licence_of(parsed.metadata), parsed.metadata.canonical

    def of_page(document: Document) -> Document:
        return replace(document, optouts=optouts, licence=licence, canonical=declared)

    pairs = list(map(of_page, pairs))
    try:
        document = interleave(parsed)
    except PageError as error:
        return [_measured_pair(pair, ("", 0.0), config) for pair in pairs], [
            _reject(page, error.reason, error.detail)
        ]
    document = _measured(of_page(document), config)
    language = (document.language, document.scores["language_score"])
    return [document, *(_measured_pair(pair, language, config) for pair in pairs)], []


def optouts_of(parsed: ParsedPage, config: Config) -> tuple[OptOut, ...]:
    """Returns what a page reserves, by its headers and its meta elements, respected or not.

    "Now" is when it was crawled, so that a rerun finds the same.
    """
    page = parsed.page
    return page_optouts(
        ((meta.name, meta.content) for meta in parsed.metadata.metas),
        page.headers,
        agent=product_token(config.fetch.user_agent),
        where=parsed.url,
        when=page.crawled,
    )


def _measured(document: Document, config: Config) -> Document:
    text = "\n".join(node.text for node in document.texts)
    language, score = detect(text)
    of_texts, of_document = measure_texts(document.texts, language)
    document = _with_texts(document, of_texts, language, config)
    scores = {
        **document.scores,
        **of_document,
        **safety.document_scores(document.texts, language, config.safety),
        "language_score": score,
        "characters": float(len(text)),
    }
    return replace(document, language=language, scores=scores, signature=signature(text))


def _measured_pair(pair: Document, page: tuple[str, float], config: Config) -> Document:
    """`page` is the language of its page, and its probability."""
    text = " ".join(node.text for node in pair.texts)
    language, score = of_pair(text, page)
    pair = _with_texts(pair, [{} for _ in pair.texts], language, config)
    scores = {
        **pair.scores,
        **safety.document_scores(pair.texts, language, config.safety),
        "unigrams": float(unigrams(text)),
        "language_score": score,
    }
    return replace(pair, language=language, scores=scores)


def _with_texts(
    document: Document, counts: Iterable[dict[str, float]], language: str, config: Config
) -> Document:
    """Returns the document with what is known of each of its texts: counts, and what repetitions share."""
    of_texts = iter(counts)

    def known(text: Text) -> Text:
        scores = {
            **next(of_texts),
            **privacy.count(text.text),
            **safety.text_scores(text.text, language, config.safety),
        }
        return replace(text, key=paragraph_key(text.text), scores=scores)

    nodes = (known(node) if isinstance(node, Text) else node for node in document.nodes)
    return replace(document, nodes=tuple(nodes))


def _reject(page: Page, reason: str, detail: str = "") -> Reject:
    return Reject(item_id(page.url), page.url, "extract", reason, detail)


def extract_unit(unit: Unit, folder: Path, config: Config) -> Counts:
    """Writes a unit's documents, resources and rejects below `folder`; returns its counts."""
    skip: dict[str, tuple[str, str]] = {}
    while True:
        try:
            counts: Counts = sandbox().call(
                "m3w_builder.extract:write_unit",
                unit,
                folder,
                config,
                skip,
                seconds=_patience(unit, config),
            )
        except ItemDied as death:
            if len(skip) == MAX_DEATHS:
                raise InputError(
                    f"{unit.path}: more than {MAX_DEATHS} pages hang or crash: {death}"
                ) from death
            if death.label in skip or not death.label:
                raise
            skip[death.label] = (death.reason, death.detail)
        else:
            return counts


def _patience(unit: Unit, config: Config) -> float:
    """Returns the seconds that one page may take: one of a URL list comes over the network first."""
    return config.extract.page_seconds + (config.fetch.total_seconds if unit.kind == "urls" else 0)


def write_unit(
    beat: Beat, unit: Unit, folder: Path, config: Config, skip: Mapping[str, tuple[str, str]]
) -> Counts:
    """Extracts a unit, leaving out the pages named in `skip` (source -> reason, detail)."""
    name = f"{unit_name(unit.kind, unit.path, unit.start, unit.end)}.parquet"
    counts: Counter[str] = Counter()
    known: set[Resource] = set()  # saved pages of a site share pictures
    with (
        TableWriter(folder / "documents" / name, "documents") as documents,
        TableWriter(folder / "resources" / name, "resources") as resources,
        TableWriter(folder / "rejects" / name, "rejects") as rejects,
    ):
        for item in _items(unit, config, beat, skip):
            beat(item.source if isinstance(item, Page) else item.url)
            found, dropped = _documents(item, config, skip)
            for resource in _resources(item, found, unit):
                if resource not in known:
                    known.add(resource)
                    counts["resources"] += 1
                    resources.write(flat_row(resource))
            beat("")
            counts.update(signals(found[0].optouts) if found else ())
            for document in found:
                counts.update(_contents(document))
                counts.update(_scores(document))
                documents.write(document_row(document, text_key(document.texts)))
            for reject in dropped:
                counts[f"rejects.pages.{reject.reason}"] += 1
                rejects.write(flat_row(reject))
            counts["pages"] += isinstance(item, Page)
            counts["failed_records"] += isinstance(item, Reject)
    return counts


def _resources(
    item: Page | Resource | Reject, documents: Sequence[Document], unit: Unit
) -> Iterator[Resource]:
    """Yields where media are archived: what the crawl says, or the files that a saved page shows."""
    if isinstance(item, Resource):
        yield item
    elif isinstance(item, Page) and unit.kind == "html":
        folder = folder_of(unit.path)
        for url in dict.fromkeys(url for document in documents for url in _media_urls(document)):
            resource = local_resource(url, item, folder)
            if resource:
                yield resource


def _media_urls(document: Document) -> Iterator[str]:
    """Yields the URLs that `fetch` will ask for: of images, of video files and their subtitles, not of players."""
    yield from (image.url for image in document.images)
    for video in document.videos:
        if video.file:
            yield video.url
            yield from (track.url for track in video.tracks if track.kind in SPOKEN)


def _documents(
    item: Page | Resource | Reject, config: Config, skip: Mapping[str, tuple[str, str]]
) -> tuple[list[Document], list[Reject]]:
    if isinstance(item, Resource):
        return [], []
    if isinstance(item, Reject):
        return [], [item]
    if item.source in skip:
        return [], [_reject(item, *skip[item.source])]
    return extract(item, config)


def _contents(document: Document) -> Iterator[str]:
    """Yields one counter name per thing a document adds to the waterfall."""
    yield document.kind
    if document.kind == "interleaved":
        contents = {"texts": document.texts, "images": document.images, "videos": document.videos}
        for kind, nodes in contents.items():
            yield from (f"{kind}.referenced" for _ in nodes)


def _scores(document: Document) -> Iterator[str]:
    """Yields the counters of a document's language and scores, and of what rules compare of its texts."""
    kind = document.kind
    yield language_counter(kind, document.language)
    words = "words" if kind == "interleaved" else "unigrams"
    share = safety.flagged_share(document.scores, words)
    yield from counters(kind, {**document.scores, "flagged_share": share})
    if kind == "interleaved":
        for text in document.texts:
            share = safety.flagged_share(text.scores)
            yield from counters("text", {**text_scores(text.scores), "flagged_share": share})


def _items(
    unit: Unit, config: Config, beat: Beat, skip: Mapping[str, tuple[str, str]]
) -> Iterable[Page | Resource | Reject]:
    if unit.kind == "urls":
        return _live_pages(unit, config, beat, skip)
    return read_pages(unit, max_body=config.extract.max_page_bytes)


def _live_pages(
    unit: Unit, config: Config, beat: Beat, skip: Mapping[str, tuple[str, str]]
) -> Iterator[Page | Reject]:
    """Yields the pages of a URL list, over the network; a look-up that hangs is at fault, too."""
    with Client(config.fetch, config.rights) as client:
        for line in read_urls(unit):
            url = canonical(line)
            if not url:
                yield Reject(
                    item_id(line), shown(line), "extract", "bad_url", "expected an http(s) URL"
                )
                continue
            beat(url)
            if url in skip:
                yield Reject(item_id(url), url, "extract", *skip[url])
                continue
            try:
                yield live_page(url, client, config.extract.max_page_bytes)
            except MediaError as error:
                yield Reject(item_id(url), url, "extract", error.reason, error.detail)


def fingerprint(units: Iterable[Unit], config: Config) -> list[str]:
    """Returns strings that change when what a unit reads does: path, size and time of every file."""
    units = list(units)
    found = [f"{u.kind} {u.path} {u.start} {u.end}" for u in units]
    for path in sorted({Path(u.path) for u in units}):
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        found += [f"{f} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files]
    if any(u.kind == "urls" for u in units):
        # Pages come over the network, too.
        found += [digest(config.fetch), rights_digest(config.rights)]
    return found
