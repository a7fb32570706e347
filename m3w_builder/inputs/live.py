"""Pages of the live web, over the same guarded and polite connections as the media."""

from m3w_builder.fetch import Client
from m3w_builder.types import Page, item_id
from m3w_builder.urls import canonical


def live_page(url: str, client: Client, max_bytes: int) -> Page:
    """Returns the page at a canonical URL; raises MediaError, also when the site forbids to ask for it."""
    answer, _ = client.get(url, "text", max_bytes=max_bytes)
    return Page(
        canonical(answer.final_url) or url,
        answer.body,
        answer.content_type,
        answer.headers,
        record=f"url:{item_id(url)}",
        source=url,
    )
