"""Near-duplicates of documents and images: signatures, candidates, components."""
