"""Charts as plain data (``model.py``), and their drawing as SVG (``svg.py``)."""
