"""HTTP downloads that one can run from a company's network without fear.

Nothing here trusts a URL or a server: the guard against private addresses sits where the socket
is opened (`m3w_builder.fetch.sockets`): literal addresses, redirects, rebinding names meet it too.
`Client` is the polite whole: what a site reserves is respected, hosts get their turns.
"""

from m3w_builder.fetch.budget import Room as Room
from m3w_builder.fetch.client import Client as Client
from m3w_builder.fetch.consent import Consent as Consent
from m3w_builder.fetch.consent import OptedOutError as OptedOutError
from m3w_builder.fetch.download import NOT_MODIFIED as NOT_MODIFIED
from m3w_builder.fetch.download import Response as Response
from m3w_builder.fetch.download import StatusError as StatusError
from m3w_builder.fetch.download import conditions as conditions
from m3w_builder.fetch.download import download as download
from m3w_builder.fetch.hosts import Turns as Turns
from m3w_builder.fetch.polite import HOST_DEAD as HOST_DEAD
from m3w_builder.fetch.polite import TRANSIENT as TRANSIENT
from m3w_builder.fetch.polite import TRANSIENT_STATUS as TRANSIENT_STATUS
from m3w_builder.fetch.polite import ask_all as ask_all
from m3w_builder.fetch.sockets import Session as Session
