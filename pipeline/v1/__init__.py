"""Generated from proto/pipeline/v1 by tox -e generate; not edited by hand."""
