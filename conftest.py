"""Configuration of this project's own tests."""
