"""Stage servers for tests: started, watched, and brought back for the next test."""
