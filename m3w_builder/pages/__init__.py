"""One page as the extractor sees it: for `m3w page`.

`look` reads it, `tables` and `as_json` print what each part became and why, `marked` is the page itself with that
drawn on it.
"""

from m3w_builder.pages.load import load as load
from m3w_builder.pages.marked import marked as marked
from m3w_builder.pages.table import as_json as as_json
from m3w_builder.pages.table import tables as tables
from m3w_builder.pages.view import View as View
from m3w_builder.pages.view import look as look
