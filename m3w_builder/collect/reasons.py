"""Why a media URL cannot be used, and which of the reasons may pass with time."""

from m3w_builder.fetch import TRANSIENT

# Every status that a Media row can have besides "ok".
REASONS = {
    # where it comes from
    "not_archived": "the crawl has no response for it, and the network is switched off",
    "bad_url": "not an http or https URL, or one with an impossible host name",
    "private_address": "the host name stands for an address that is not public",
    "port_refused": "a port that is not one of fetch.ports",
    "unreachable": "no such host, or it does not accept connections",
    "tls_error": "the certificate or the handshake is not valid",
    "timeout": "the server took too long, to connect, between two reads or in total",
    "bad_response": "what came is not HTTP, or its headers are too long",
    "http_status": "a status other than 200; the detail is the status",
    "too_many_redirects": "more hops than max_redirects",
    "bad_redirect": "a redirect to nowhere, or to what is no http or https URL",
    "too_large": "more bytes than allowed, as sent or as decoded",
    "truncated_body": "the body ended before its announced end",
    "bad_encoding": "a Content-Encoding that we cannot undo, or that is a lie",
    "empty_body": "zero bytes",
    "host_dead": "its host failed for dead_after URLs in a row before it was its turn",
    "robots_unreachable": "the robots.txt of the host cannot be had, which forbids everything",
    "opted_out": "a reservation of rights; the detail names signal, words and place",
    # the archive's own (see m3w_builder.warc)
    "not_a_record": "the archive has no response where the index says",
    "bad_gzip": "the archive's gzip member is damaged",
    "record_cut": "the archive ends inside the record",
    "record_too_large": "the archived body has more bytes than allowed",
    "header_too_large": "the archived headers are too long",
    "bad_header": "the archived headers cannot be read",
    "bad_length": "the archived record has a wrong length",
    "bad_http": "the archived response is not HTTP",
    "too_many_records": "one gzip member of the archive has too many records",
    # pictures
    "not_an_image": "no image format that we know",
    "image_unsupported": "an image format that we refuse; the detail names it",
    "image_too_large": "the header says more pixels than max_image_pixels",
    "image_damaged": "the image does not decode to its end",
    # videos
    "not_a_video": "no container format that we know",
    "video_playlist": "a list that names other files (HLS, DASH, ...), which are not fetched",
    "no_video_track": "a container without moving pictures",
    "no_frames": "not one frame could be decoded",
    "video_truncated": "less than half of the frames that the duration promises",
    "video_damaged": "the container cannot be opened",
    "video_timeout": "not decoded within video_seconds",
    # subtitles
    "not_subtitles": "no cue with a time and a text",
}

# What an archive may stand in for: the live URL is gone, or no longer what it was.
GONE = frozenset(
    {"unreachable", "timeout", "tls_error", "bad_response", "http_status", "host_dead"}
    | {"too_many_redirects", "bad_redirect", "truncated_body", "empty_body", "not_an_image"}
    | {"not_a_video"}
)
# What --retry-failed asks for once more.
RETRIED = TRANSIENT | GONE
