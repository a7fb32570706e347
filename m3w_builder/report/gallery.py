"""Samples of report.html: documents as they read, pairs as a wall, videos as strips of frames."""

from m3w_builder.report.html import Html, join, link, picture, tag
from m3w_builder.samples import Parts, Record, nodes, pair_text, word_count

SIDE = {"interleaved": 440, "image_text": 300, "video_text": 200}  # pixels of a thumbnail
ELEMENTS = {"heading": "h4", "code": "pre", "table": "pre", "quote": "blockquote"}
CLASSES = {"list_item": "item", "caption": "caption"}
MAX_NODES = 60  # of one document: a page can have thousands
MAX_PICTURES = 14
MAX_TEXT = 2000  # characters of one node, or of a pair
MAX_FRAMES = 12
MAX_CUES = 30


def document(record: Record, parts: Parts, whole: bool = False) -> Html:
    """Returns an interleaved document as an article; cut after some nodes unless `whole`."""
    body: list[str] = []
    pictures = 0
    for number, (info, node) in enumerate(nodes(record)):
        pictures += not isinstance(node, str)
        if not whole and (number == MAX_NODES or pictures > MAX_PICTURES):
            left = len(record["info"]) - number
            body.append(tag("p", f"… and {left:,} more nodes", class_="caption"))
            break
        if isinstance(node, str) and not whole:
            node = _cut(node)
        body.append(_node(info, node, parts))
    head = tag("div", _title(record), link_line(record["url"]), _chips(record), class_="head")
    return tag("article", head, tag("div", *body, class_="body"), class_="card")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _title(record: Record) -> Html:
    return tag("h3", record["title"] or record["url"])


def link_line(url: str) -> Html:
    """Returns an address on one line."""
    return tag("span", link(url), class_="url")


def _chips(record: Record) -> Html:
    texts, images = (sum(e is not None for e in record[name]) for name in ("texts", "images"))
    words = [f"{word_count(record):,} words", f"{texts:,} texts"]
    words += [f"{images:,} images" if images != 1 else "1 image"]
    words += [record["language"]] if record["language"] else []
    words += [record["id"]]
    return join(*(tag("span", word, class_="chip") for word in words))


def _node(info: Record, node: str | list[str], parts: Parts) -> Html:
    if isinstance(node, str):
        role = info["role"]
        return tag(ELEMENTS.get(role, "p"), node, class_=CLASSES.get(role, ""))
    if info["type"] == "video":
        said = _caption(info, ("title", "caption"))
        return tag("figure", strip(info, node, parts), said, *map(_subtitles, info["subtitles"]))
    name = node[0]
    image = picture(parts[name], SIDE["interleaved"], info["alt"])
    return tag("figure", image, _caption(info, ("alt", "caption")))


def _caption(info: Record, names: tuple[str, ...]) -> Html:
    """Returns what the page says about a medium, and its measurements."""
    said = [join(tag("b", name), f" {info[name]} ") for name in names if info[name]]
    measured = f"{info['width']}×{info['height']}"
    return tag("figcaption", *said, tag("span", measured, class_="chip"))


def pair(record: Record, parts: Parts) -> Html:
    """Returns an image-text pair as a figure of the wall."""
    name = next(image for image in record["images"] if image is not None)
    text = _cut(pair_text(record))
    image = picture(parts[name], SIDE["image_text"], text)
    return tag("figure", image, tag("figcaption", text, link(record["url"], _host(record["url"]))))


def _host(url: str) -> str:
    return url.split("/")[2] if url.count("/") > 1 else url


def video(record: Record, parts: Parts) -> Html:
    """Returns a video-text pair: its text, its measurements, its frames."""
    info, node = next((i, n) for i, n in nodes(record) if i["type"] == "video")
    assert not isinstance(node, str)
    about = [
        f"{info['seconds']:g} s",
        f"{info['width']}×{info['height']}",
        f"{info['fps']:.4g} fps",
        info["codec"],
        f"{len(node)} frames",
        *(["sound"] if info["audio"] else []),
    ]
    chips = join(*(tag("span", word, class_="chip") for word in about if word))
    text = tag("p", _cut(pair_text(record)), class_="text")
    shown = strip(info, node, parts), *map(_subtitles, info["subtitles"])
    return tag("section", text, *shown, chips, link_line(info["url"]), class_="card")


def _subtitles(track: Record) -> Html:
    """Returns a track with the first cues that are shown during the frames."""
    cues = track["cues"]
    name = join(f"{track['kind']} ", tag("b", track["language"] or track["label"]))
    lines = (tag("p", tag("small", f"{cue['start']:g} s "), cue["text"]) for cue in cues[:MAX_CUES])
    summary = tag("summary", tag("span", name, f", {len(cues):,} cues", class_="name"))
    return tag("details", summary, *lines, class_="cues")


def strip(info: Record, names: list[str], parts: Parts) -> Html:
    """Returns the frames of a video, evenly thinned, with their times."""
    times = {frame["name"]: frame["t"] for frame in info["frames"]}
    shown = names[:: -(-len(names) // MAX_FRAMES)]
    frames = (
        tag("figure", picture(parts[n], SIDE["video_text"]), tag("figcaption", f"{times[n]} s"))
        for n in shown
    )
    return tag("div", *frames, class_="strip")
