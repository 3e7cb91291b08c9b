"""The proof that a pipeline may be split; HYPOTHESIS_PROFILE says how thorough."""
