"""What happens to the bytes of one image after its download.

sniff (kinds) -> strip metadata (strip) -> header: size, orientation (pixels) -> one decode at the
smallest scale that serves (pixels) -> hashes, scores, the user's scorers (hashes, measure, scorers)
"""

from m3w_builder.media.measure import StoredImage, measure_image

__all__ = ["StoredImage", "measure_image"]
