"""Documents meet their media: the rules that need both, and what of a document stays.

The order is fixed, so that every drop has one reason: takedowns, what cannot be had, opt-outs, block lists, explicit
images, what occurs too often, rules, repetitions in the document, evaluation sets; then the document's own: an image
that takes it along, "no image left", "no text left", and the rules on what is left.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from m3w_builder import capfilt, decontaminate, rules, safety
from m3w_builder.config import FRAMES_PER_SECOND, Config
from m3w_builder.optouts import REASON, evidence, media_refusal
from m3w_builder.select.frequency import Hit, Records, What, records
from m3w_builder.select.outcomes import (
    Drop,
    Dropped,
    Noted,
    Outcome,
    Reference,
    drop,
    reject,
    section_of,
)
from m3w_builder.select.references import no_text_left, short
from m3w_builder.tables import Row
from m3w_builder.tombstones import REASON as REMOVED
from m3w_builder.tombstones import tombstones
from m3w_builder.types import OptOut

PLAYER: Drop = ("video_player", "no media file is known, only the player's page")
# Document id, node index, what the document is: its kind and, of a pair, its text.
Need = tuple[str, int, str]


def needs(reference: Reference) -> Iterator[tuple[str, Need]]:
    """Yields (kind and URL, need) for each media node that can be had, and its subtitles."""
    if "withheld" in reference or "earlier" in reference:
        return
    tag = reference["kind"]
    if tag != "interleaved":
        tag = f"{tag} {reference['text_sha256']}"
    for index, kind, url, is_file, _ in reference["media"]:
        if kind == "image" or is_file:
            yield f"{kind} {url}", (reference["id"], index, tag)
    for index, url in reference["tracks"]:
        yield f"subtitles {url}", (reference["id"], index, tag)


def join(needed: Iterable[Need], rows: Iterable[Row]) -> Iterator[tuple[str, tuple[int, Row]]]:
    """Yields (document id, (node index, media row)) for each need of one media URL."""
    rows = list(rows)  # one; what needs it may be millions of pages
    for document, index, _ in needed:
        yield from ((document, (index, row)) for row in rows)


def media_records(needed: Iterable[Need], rows: Iterable[Row]) -> Records:
    """Returns what is counted of one media URL: the pages that show an image, the texts it is paired with."""
    usable = (row for row in rows if row["kind"] == "image" and row["status"] == "ok")
    images = [short(row["sha256"]) for row in usable]
    return records(_counted(needed, images)) if images else records(())


def _counted(needed: Iterable[Need], images: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    for document, _, tag in needed:
        owner, (kind, _, text) = short(document), tag.partition(" ")
        for image in images:
            if kind == "interleaved":
                yield image, owner, owner, What.IMAGE
            elif kind == "image_text" and text:
                yield image, short(text), owner, What.PAIR_IMAGE
                yield short(text), image, owner, What.PAIR_TEXT


def text_records(reference: Reference) -> Records:
    """Returns what is counted of one document's texts: its paragraphs, the n-grams of a pair."""
    owner = short(reference["id"])
    found = [(key, owner, owner, What.PARAGRAPH) for _, key in reference.get("paragraphs", ())]
    found += [(key, owner, owner, What.NGRAM) for key in reference.get("ngrams", ())]
    return records(found)


def admit(
    reference: Reference,
    media: Iterable[tuple[int, Row]],
    hits: Iterable[Hit],
    config: Config,
    annotations: Iterable[Row] = (),
) -> Iterator[Outcome]:
    """Applies the rules that need media; yields rejects of nodes, then the document with what stays, or its reject.

    `annotations` are what CapFilt found out of its images.
    """
    hits = sorted(hits)
    rows: dict[int, Row] = {}
    tracks: list[tuple[int, Row]] = []  # one that could not be had is no reason to drop its video
    for index, row in media:
        if row["kind"] != "subtitles":
            rows[index] = row
        elif row["status"] == "ok" and not (_taken_down(row, config) or _refused(row, config)):
            tracks.append((index, row))
    drops = {
        index: found
        for index, kind, url, is_file, declared in reference["media"]
        if (found := _media_drop(reference, kind, is_file, rows.get(index), hits, config))
        or (found := _rule(kind, url, declared, rows[index], config))
    }
    stays = [index for index, *_ in reference["media"] if index not in drops]
    if reference["kind"] == "interleaved":
        drops |= _repeated(stays, rows)
        stays = [index for index in stays if index not in drops]
    known = _contaminated(stays, rows, config)
    if config.decontaminate.mode == "remove":
        drops |= known
        stays = [index for index in stays if index not in drops]
    texts = _text_drops(reference, hits, config)
    verdict = _whole(drops, config) or _document_drop(
        reference, [rows[i] for i in stays], drops, texts, hits, config
    )
    chosen = {} if verdict else _chosen(reference, annotations, stays, rows, config)
    for judged in chosen.values():
        for gone in judged.dropped:
            yield Dropped(gone.section, reject(reference, (gone.reason, gone.detail)))
    if reference["kind"] == "image_text" and any(judged.empty for judged in chosen.values()):
        verdict = capfilt.NO_TEXT_LEFT, "none fits the image"
    if reference["kind"] == "interleaved":
        for index, kind, url, *_ in reference["media"]:
            if index in drops:
                yield Dropped(f"{kind}s", reject(reference, drops[index], url))
        for index in sorted(texts) if not verdict else ():
            yield Dropped("texts", reject(reference, texts[index]))
    if verdict:
        yield drop(reference, *verdict)
        return
    yield from _noted(reference, rows, {i: known[i] for i in stays if i in known})
    yield _kept(reference, {*drops, *texts}, stays, rows, tracks, chosen, config)


def _chosen(
    reference: Reference,
    annotations: Iterable[Row],
    stays: Sequence[int],
    rows: Mapping[int, Row],
    config: Config,
) -> dict[int, capfilt.Kept]:
    """Returns which texts stay with each image, by its node.

    What was said of another capture of the page, or of another image in that place, counts for nothing; a capture that
    was archived twice was asked about twice.
    """
    mine = {
        (row["node"], row["operator"], row["origin"], row["number"]): row
        for row in annotations
        if row["record"] == reference["record"]
        and row["node"] in stays
        and row["sha256"] == rows[row["node"]]["sha256"]
    }
    by_node = capfilt.by_node(mine.values())
    return {node: capfilt.decide(found, config.capfilt) for node, found in by_node.items()}


def _media_drop(
    reference: Reference,
    kind: str,
    is_file: bool,
    row: Row | None,
    hits: Sequence[Hit],
    config: Config,
) -> Drop | None:
    """Returns why a medium cannot or must not be used, or is used too often."""
    if "withheld" in reference:
        return REASON, reference["withheld"]
    if kind == "video" and not is_file:
        return PLAYER
    if row is None:  # fetch obeyed other opt-outs than we do
        return f"{kind}_unavailable", "not asked for"
    if gone := _taken_down(row, config):
        return REMOVED, evidence(gone)
    if row["status"] == REASON:
        return REASON, row["detail"]
    if row["status"] != "ok":
        return f"{kind}_unavailable", row["status"]
    if verdict := _refused(row, config):
        return verdict
    if kind == "image":
        return safety.image_rule(row["scores"], config.safety) or _too_often(row, hits, config)
    return None


def _taken_down(row: Row, config: Config) -> OptOut | None:
    return tombstones(config.rights.removed).find((row["url"], row["final_url"]), _digests(row))


def _digests(row: Row) -> tuple[str, ...]:
    """Returns the sha256 of a file as stored and as received, and of the frames of a video."""
    return row["sha256"], row["source_sha256"], *(frame["sha256"] for frame in row["frames"])


def _refused(row: Row, config: Config) -> Drop | None:
    """Returns the opt-out or block list that forbids the use of a file that is there."""
    urls, digests = (row["url"], row["final_url"]), (row["sha256"], row["source_sha256"])
    if found := media_refusal(urls, digests, row["optouts"], config.rights, row["kind"]):
        return REASON, evidence(found)
    blocked = (safety.blocked(url, config.safety) for url in filter(None, urls))
    return next(filter(None, blocked), None)


def _rule(
    kind: str, url: str, declared: tuple[int | None, int | None], row: Row, config: Config
) -> Drop | None:
    """Returns which rule on single images an image breaks."""
    if kind != "image":
        return None
    return rules.image_rule(
        row["width"],
        row["height"],
        row["scores"],
        config.rules,
        url=url,
        format=rules.source_format(row["content_type"], row["format"]),
        declared=declared,
    )


def _whole(drops: Mapping[int, Drop], config: Config) -> Drop | None:
    """Returns the drop of a medium that takes its document along, where the configuration says so."""
    takes_all = {safety.IMAGE} if config.safety.scope == "document" else set()
    if config.decontaminate.drop == "page":
        takes_all.add(decontaminate.IMAGE)
    return next((found for found in drops.values() if found[0] in takes_all), None)


def _contaminated(stays: Sequence[int], rows: Mapping[int, Row], config: Config) -> dict[int, Drop]:
    """Returns which media are of an evaluation set: images by their look, videos by their bytes."""
    sets = decontaminate.benchmark(config.decontaminate)
    if sets is None:
        return {}
    sights = [
        decontaminate.Sight(
            _digests(row),
            row["phash"],
            row["scores"].get("pdq_quality", 0.0),
            row["phash_firm"],
        )
        for row in map(rows.__getitem__, stays)
    ]
    found = zip(stays, sets.images(sights), strict=True)
    return {index: (decontaminate.IMAGE, where) for index, where in found if where}


def _noted(
    reference: Reference, rows: Mapping[int, Row], known: Mapping[int, Drop]
) -> Iterator[Noted]:
    """Yields what is of an evaluation set and stays, because it is only to be reported."""
    whole = section_of(reference)
    if found := reference.get("contaminated"):
        yield Noted(whole, reject(reference, (decontaminate.TEXT, found)))
    for index, verdict in known.items():
        section = f"{rows[index]['kind']}s" if whole == "documents" else whole
        yield Noted(section, reject(reference, verdict, rows[index]["url"]))


def _too_often(row: Row, hits: Sequence[Hit], config: Config) -> Drop | None:
    """Returns why an image goes that too many pages show, or too many texts are paired with.

    By its bytes: pictures that only look alike may be the steps of an explanation.
    """
    image = short(row["sha256"])
    for hit in hits:
        if hit.what == What.IMAGE and hit.key == image:
            return "image_too_frequent", _beyond(hit, config.corpus.max_pages_per_image, "pages")
        if hit.what == What.PAIR_IMAGE and hit.key == image:
            return "image_of_many_texts", _beyond(hit, config.corpus.max_texts_per_image, "texts")
    return None


def _beyond(hit: Hit, limit: int, unit: str) -> str:
    return f"{hit.times} {unit} > {limit}"


def _repeated(stays: Sequence[int], rows: Mapping[int, Row]) -> dict[int, Drop]:
    """Returns the images and videos whose bytes are above in the document."""
    first: dict[str, int] = {}
    return {
        index: ("repeated_image", "the same bytes are above in the document")
        for index in stays
        if first.setdefault(rows[index]["sha256"], index) != index
    }


def _text_drops(reference: Reference, hits: Sequence[Hit], config: Config) -> dict[int, Drop]:
    """Returns the text nodes that go, by index."""
    often = {hit.key: hit for hit in hits if hit.what == What.PARAGRAPH}
    limit = config.corpus.max_paragraph_repeats
    found = {
        index: ("paragraph_too_frequent", _beyond(often[key], limit, "pages of the domain"))
        for index, key in reference.get("paragraphs", ())
        if key in often
    }
    return {**found, **reference["drops"]}


def _document_drop(
    reference: Reference,
    media: Sequence[Row],
    drops: Mapping[int, Drop],
    texts: Mapping[int, Drop],
    hits: Sequence[Hit],
    config: Config,
) -> Drop | None:
    if not media:
        if reference["kind"] != "interleaved":
            return next(iter(drops.values()))
        return "no_image_left", ", ".join(sorted({reason for reason, _ in drops.values()}))
    if reference["kind"] == "interleaved":
        if texts and len(texts) == reference["texts"]:
            return no_text_left(texts)
        images = sum(row["kind"] == "image" for row in media)
        return rules.images_rule(images, reference["words"], config.rules)
    unigrams = reference["unigrams"]
    if reference["kind"] == "video_text":
        frames = len(media[0]["frames"])
        return rules.video_pair_rule(unigrams, frames, config.rules, reference["language"])
    for hit in hits:
        if hit.what == What.PAIR_TEXT:
            return "text_of_many_images", _beyond(hit, config.corpus.max_images_per_text, "images")
        if hit.what == What.NGRAM:
            return "rare_words", f"one occurs {hit.times} times in the texts of all pairs"
    size = media[0]["width"], media[0]["height"]
    return rules.image_pair_rule(unigrams, *size, config.rules, reference["language"])


def _kept(
    reference: Reference,
    gone: set[int],
    stays: Sequence[int],
    rows: Mapping[int, Row],
    tracks: Iterable[tuple[int, Row]],
    chosen: Mapping[int, capfilt.Kept],
    config: Config,
) -> Reference:
    if any(not judged.web for judged in chosen.values()):  # a pair's own text does not fit
        gone = gone | (set(range(reference["nodes"])) - set(stays))
    media = [{"node": i, **rows[i]} for i in stays]
    subtitles = [{"node": i, **row} for i, row in tracks if i in stays]
    subtitles.sort(key=lambda row: (row["node"], row["url"]))
    if reference["kind"] == "video_text":
        seconds = config.select.clip_seconds
        media = [{**row, "frames": clip(row["frames"], seconds)} for row in media]
    size = sum(
        row["length"] + sum(f["length"] for f in row["frames"]) for row in (*media, *subtitles)
    )
    names = (
        *("id", "kind", "url", "declared", "file", "row"),
        *("crawled", "text_sha256", "signature", "characters"),
    )
    return {
        **{name: reference[name] for name in names},
        "texts": reference["texts"] - len(gone - {index for index, *_ in reference["media"]}),
        "keep": [index for index in range(reference["nodes"]) if index not in gone],
        "media": media,
        "subtitles": subtitles,
        "captions": [asdict(one) for judged in chosen.values() for one in judged.captions],
        "bytes": size + reference["characters"],
    }


def clip(frames: Sequence[Row], seconds: int) -> Sequence[Row]:
    """Returns the frames of the middle of a video, so many seconds of it; all of a shorter one.

    The text of a pair is about the whole; beginnings are titles, ends are credits. 0 means all.
    """
    count = seconds * FRAMES_PER_SECOND or len(frames)
    first = max(len(frames) - count, 0) // 2
    return frames[first : first + count]
