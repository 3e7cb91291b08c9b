"""The stages in other languages; each test skips a language without its toolchain."""
