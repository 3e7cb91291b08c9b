"""A streaming pipeline over gRPC, split into stages, and the monolith beside it."""
