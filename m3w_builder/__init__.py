"""Crawled web pages in, training-ready multimodal shards out."""

__version__ = "0.1.0"
