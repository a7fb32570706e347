"""HTTP downloads that one can run from a company's network without fear.

Nothing here trusts a URL or a server: the guard against private addresses sits where the socket
is opened (`m3w_builder.fetch.sockets`): literal addresses, redirects, rebinding names meet it too.
"""

from m3w_builder.fetch.download import Response as Response
from m3w_builder.fetch.download import download as download
from m3w_builder.fetch.sockets import Session as Session
