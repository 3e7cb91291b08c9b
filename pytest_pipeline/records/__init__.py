"""The records that pipelines are fed with."""
