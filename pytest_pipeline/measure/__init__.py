"""What the suite of benchmarks is made of: subjects, checked runs, their rounds."""
