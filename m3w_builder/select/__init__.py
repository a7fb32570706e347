"""Which documents stay: pure functions over references (scores, hashes, media rows), never over text or pixels.

The order is fixed, so that every drop has one reason: page duplicates; what a document's own row decides (opt-outs,
rules); its media and their rules; "no image left"; copies of others. `pipelines.select` only wires these functions.

    references   a documents row to a reference, with what its own row decides
    captures     one capture of each page
    looks        images that look the same
    frequency    what occurs too often, or too rarely, in the whole crawl
    admit        documents meet their media
    copies       exact and near copies, and which one stays
    earlier      what finished datasets hold
    outcomes     what is kept and what dropped, written
"""
