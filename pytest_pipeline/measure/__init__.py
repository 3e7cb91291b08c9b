"""What the suite of benchmarks is made of: datasets, checked runs, their rounds."""
