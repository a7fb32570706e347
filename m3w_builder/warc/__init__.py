"""Read WARC and ARC files by byte range: every record exactly once, damaged ones named, memory bounded.

A range owns the records that *start* in it. In a gzip file whose members are not single records (one member around all,
or blocks), the range that has byte 0 owns everything. An offset names a record: where it starts in the file, plus, for
a record that is not the first of its gzip member, its number in the member shifted left by `reader.INDEX_SHIFT`.
Damage never raises: it yields a `Reject`, and reading goes on at the next record that can be found.

Reasons of rejects:
  not_a_record        bytes between records that are no record
  bad_gzip            a gzip member whose deflate data or checksum is wrong
  record_cut          the file ends inside the record
  record_too_large    the body is longer than `max_body`, as stored or decoded
  header_too_large    WARC or HTTP headers longer than `heads.MAX_HEAD`
  bad_header          WARC headers that cannot be read, or name no record type
  bad_length          a wrong Content-Length, and no next record near enough to tell the right one
  too_many_records    more records in one gzip member than an offset can name
  bad_http            a response that does not start with an HTTP status line
"""

from m3w_builder.warc.heads import Record as Record
from m3w_builder.warc.reader import read_records as read_records
from m3w_builder.warc.reader import record_at as record_at
