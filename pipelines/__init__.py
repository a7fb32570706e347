"""The four stages as Apache Beam pipelines, and the engine that runs them on one machine."""

import logging

# Every `import apache_beam` 2.77 without its gcp extra warns of this, in each worker again.
logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
