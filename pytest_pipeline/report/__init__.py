"""What was measured, for people: a page, and a table for a terminal."""
