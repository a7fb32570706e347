"""What to build from: plan the units of work of an input, and read one.

WARC and ARC files are cut by bytes, folders of saved HTML and lists of URLs by entries.
"""

from m3w_builder.inputs.live import live_page as live_page
from m3w_builder.inputs.pages import read_pages as read_pages
from m3w_builder.inputs.saved import folder_of as folder_of
from m3w_builder.inputs.saved import local_resource as local_resource
from m3w_builder.inputs.units import Unit as Unit
from m3w_builder.inputs.units import plan as plan
from m3w_builder.inputs.units import read_urls as read_urls
